#include "text/tokenizer_class.h"

#include <nlohmann/json.hpp>
#include <string_view>

#include "io/json/json_file.h"

namespace shine {
namespace {

std::string text_in(const std::filesystem::path& path, const char* key) {
  if (!std::filesystem::exists(path)) return {};
  return get_string_or(read_json_file(path), key, "", path.string());
}

}  // namespace

std::string tokenizer_class(const std::filesystem::path& folder, bool general) {
  constexpr std::string_view fast = "Fast";
  std::string name = text_in(folder / "tokenizer_config.json", "tokenizer_class");
  if (name.ends_with(fast)) name.resize(name.size() - fast.size());
  if (!name.empty() && (general || name != "PreTrainedTokenizer")) return name;
  const std::string model = text_in(folder / "config.json", "model_type");
  if (model == "qwen2" || model == "qwen3") return "Qwen2Tokenizer";
  return model == "gpt2" ? "GPT2Tokenizer" : "";
}

const std::map<std::string, std::string>& default_special_tokens(const std::string& tokenizer_class) {
  using Tokens = std::map<std::string, std::string>;
  static const std::string text_end = "<|endoftext|>";
  static const std::map<std::string, Tokens> classes = {
      {"GPT2Tokenizer", {{"bos_token", text_end}, {"eos_token", text_end}, {"unk_token", text_end}}},
      {"LlamaTokenizer", {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}}},
      {"Qwen2Tokenizer", {{"eos_token", text_end}, {"pad_token", text_end}, {"unk_token", text_end}}}};
  static const Tokens none;
  const auto found = classes.find(tokenizer_class);
  return found == classes.end() ? none : found->second;
}

}  // namespace shine

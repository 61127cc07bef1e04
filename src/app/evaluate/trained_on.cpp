#include "app/evaluate/trained_on.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <unordered_set>

#include "app/config/trained_sizes.h"
#include "data/pretrain/documents.h"
#include "data/pretrain/words.h"
#include "data/qa/qa_split.h"
#include "data/store/store_index.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"
#include "shine/config/enum_names.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kMostBytes = std::uintmax_t{1} << 30;
constexpr int kMostStages = 8;

void check_sizes(const std::vector<std::string>& files) {
  std::uintmax_t total = 0;
  for (const std::string& file : files) {
    SHINE_CHECK(!is_token_store(file), UnsupportedError, file, ": a token store, which is not searched for texts");
  }
  for (const std::string& file : files) total += fs::exists(file) ? fs::file_size(file) : 0;
  SHINE_CHECK(total <= kMostBytes, UnsupportedError, join(files, ", "), ": more than a GiB");
}

/// The training side of the run's data. Throws what reading and splitting throw.
std::vector<std::string> training_texts(const ExperimentConfig& config) {
  DataConfig data = config.data;
  data.check_overlap = false;
  check_sizes(data.train);
  const auto seed = static_cast<std::uint64_t>(config.run.seed);
  if (!reads_questions(config)) return load_documents(data, seed).train;
  std::vector<std::string> texts;
  for (QaItem& item : load_qa_items(data, seed).train) texts.push_back(std::move(item.context));
  return texts;
}

}  // namespace

TrainedOn find_trained_texts(const std::vector<std::string>& texts, const fs::path& weights) {
  TrainedOn result;
  std::unordered_set<std::string> tested;
  for (const std::string& text : texts) tested.insert(join_words(text));
  fs::path folder = weights;
  for (int stage = 0; stage < kMostStages && !folder.empty(); ++stage) {
    const std::optional<ExperimentConfig> config = config_of_weights(folder);
    if (!config) break;
    const std::string name = str("stage ", enum_name(config->stage.name), " (", folder.string(), ")");
    try {
      std::unordered_set<std::string> trained;
      for (const std::string& text : training_texts(*config)) {
        std::string words = join_words(text);
        if (tested.contains(words)) trained.insert(std::move(words));
      }
      if (!trained.empty()) {
        result.warnings.push_back(str(trained.size(), " of ", tested.size(), " test contexts are training data of ",
                                      name, ", from ", join(config->data.train, ", "),
                                      ": the results say nothing about new ones (test on other files)"));
      }
    } catch (const std::exception& fault) {
      result.notes.push_back(
          str("whether the test's contexts were trained on by ", name, " is not known: ", fault.what()));
    }
    folder = config->stage.init_from;
  }
  return result;
}

void warn_about_trained_texts(const std::vector<std::string>& texts, const fs::path& weights) {
  const TrainedOn found = find_trained_texts(texts, weights);
  for (const std::string& note : found.notes) log_info(note);
  for (const std::string& warning : found.warnings) log_warning(warning);
}

}  // namespace shine

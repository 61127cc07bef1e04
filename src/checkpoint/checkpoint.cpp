#include "checkpoint/checkpoint.h"

#include <charconv>
#include <nlohmann/json.hpp>

#include "io/files/atomic_folder.h"
#include "io/files/text_file.h"
#include "io/json/json_file.h"
#include "shine/common/error.h"
#include "shine/io/safetensors.h"

namespace shine {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

constexpr std::int64_t kFormatVersion = 2;
constexpr const char* kWeightsFile = "trained.safetensors";
constexpr const char* kMomentsFile = "optimizer.safetensors";
constexpr const char* kRandomFile = "random.safetensors";
constexpr const char* kStateFile = "state.json";
constexpr const char* kMetricsFile = "metrics.jsonl";

Json state_of(const TrainProgress& progress, const Provenance& made_by) {
  // 64 bits do not fit a JSON number everywhere: fingerprints are text.
  Json fingerprints = Json::object();
  for (const auto& [set, value] : progress.data_fingerprints) fingerprints[set] = std::to_string(value);
  return {{"format_version", kFormatVersion},
          {"program", made_by.program},
          {"libraries", made_by.libraries},
          {"device", made_by.device},
          {"threads", made_by.threads},
          {"ranks", made_by.ranks},
          {"step", progress.step},
          {"total_steps", progress.total_steps},
          {"optimizer_steps", progress.optimizer_steps},
          {"validated_step", progress.validated_step},
          {"sampler",
           {{"epoch", progress.sampler.epoch},
            {"next", progress.sampler.next},
            {"samples", progress.sampler.samples},
            {"seed", progress.sampler.seed},
            {"by_length_batch_size", progress.sampler.by_length_batch_size},
            {"by_length_accumulation", progress.sampler.by_length_accumulation}}},
          {"tokens", progress.tokens},
          {"labels", progress.labels},
          {"dropped_micro_batches", progress.dropped},
          {"skipped_steps", progress.skipped},
          {"context_tokens_cut", progress.context_tokens_cut},
          {"conversation_tokens_cut", progress.conversation_tokens_cut},
          {"seconds", progress.seconds},
          {"data_fingerprints", fingerprints}};
}

std::size_t get_size(const nlohmann::json& object, const char* key, const std::string& where) {
  const std::int64_t value = get_int(object, key, where);
  SHINE_CHECK(value >= 0, FormatError, where, ": `", key, "` is ", value, ", expected 0 or more");
  return static_cast<std::size_t>(value);
}

std::uint64_t parse_fingerprint(const std::string& text, const std::string& where) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  SHINE_CHECK(error == std::errc() && end == text.data() + text.size(), FormatError, where, ": `", text,
              "` is no fingerprint");
  return value;
}

nlohmann::json read_state(const fs::path& folder) {
  const std::string where = (folder / kStateFile).string();
  nlohmann::json state = read_json_file(where);
  const std::int64_t format = get_int(state, "format_version", where);
  if (format != kFormatVersion) {
    throw UnsupportedError(str("checkpoint format ", format, ", this program reads ", kFormatVersion), where,
                           "use the release that wrote it");
  }
  return state;
}

TrainProgress progress_of(const nlohmann::json& state, const std::string& where) {
  const nlohmann::json& sampler = get_object(state, "sampler", where);
  TrainProgress progress;
  progress.step = get_int(state, "step", where);
  progress.total_steps = get_int(state, "total_steps", where);
  progress.optimizer_steps = get_int(state, "optimizer_steps", where);
  progress.validated_step = get_int(state, "validated_step", where);
  progress.sampler = {get_int(sampler, "epoch", where),
                      get_size(sampler, "next", where),
                      get_size(sampler, "samples", where),
                      get_size(sampler, "seed", where),
                      0,
                      0};
  if (sampler.contains("by_length_batch_size")) {  // not in checkpoints made before the order by_length
    progress.sampler.by_length_batch_size = get_size(sampler, "by_length_batch_size", where);
    progress.sampler.by_length_accumulation = get_size(sampler, "by_length_accumulation", where);
  }
  progress.tokens = get_int(state, "tokens", where);
  progress.labels = get_int(state, "labels", where);
  progress.dropped = get_int(state, "dropped_micro_batches", where);
  progress.skipped = get_int(state, "skipped_steps", where);
  progress.context_tokens_cut = get_int(state, "context_tokens_cut", where);
  progress.conversation_tokens_cut = get_int(state, "conversation_tokens_cut", where);
  progress.seconds = get_double(state, "seconds", where);
  const nlohmann::json& fingerprints = get_object(state, "data_fingerprints", where);
  for (const auto& [set, value] : fingerprints.items()) {
    progress.data_fingerprints[set] = parse_fingerprint(get_string(fingerprints, set, where), where);
  }
  return progress;
}

Provenance provenance_of(const nlohmann::json& state, const std::string& where) {
  Provenance made_by;
  made_by.program = get_string(state, "program", where);
  made_by.device = get_string(state, "device", where);
  made_by.threads = get_int(state, "threads", where);
  if (state.contains("ranks")) made_by.ranks = get_int(state, "ranks", where);  // absent: from before there were ranks
  const nlohmann::json& libraries = get_object(state, "libraries", where);
  for (const auto& [name, value] : libraries.items()) made_by.libraries[name] = get_string(libraries, name, where);
  return made_by;
}

RawTensorDict read_tensors(const fs::path& path) {
  const SafetensorsFile file(path);
  RawTensorDict tensors;
  for (const std::string& name : file.names()) tensors.emplace(name, file.tensor(name));
  return tensors;
}

}  // namespace

void save_checkpoint(const fs::path& folder, const CheckpointContents& contents) {
  const std::map<std::string, std::string> metadata{{"format", "pt"}};
  FolderWriter writer(folder);
  write_safetensors(writer.path() / kWeightsFile, contents.weights, metadata);
  write_safetensors(writer.path() / kMomentsFile, contents.moments, metadata);
  write_safetensors(writer.path() / kRandomFile, contents.random, metadata);
  write_file_atomically(writer.path() / kStateFile, state_of(contents.progress, contents.made_by).dump(2) + "\n");
  write_file_atomically(writer.path() / "config.yaml", contents.config_yaml);
  write_file_atomically(writer.path() / kMetricsFile, contents.metrics);
  writer.commit();
}

std::string progress_text(const TrainProgress& progress) {
  return state_of(progress, {}).dump();
}

TrainProgress parse_progress(const std::string& text) {
  return progress_of(nlohmann::json::parse(text), "the state of rank 0");
}

Checkpoint read_checkpoint(const fs::path& folder) {
  verify_folder(folder);
  const std::string where = (folder / kStateFile).string();
  const nlohmann::json state = read_state(folder);
  Checkpoint checkpoint;
  checkpoint.progress = progress_of(state, where);
  checkpoint.made_by = provenance_of(state, where);
  checkpoint.weights = read_tensors(folder / kWeightsFile);
  checkpoint.moments = read_tensors(folder / kMomentsFile);
  checkpoint.random = read_tensors(folder / kRandomFile);
  checkpoint.metrics = read_text_file(folder / kMetricsFile);
  return checkpoint;
}

RawTensorDict read_checkpoint_weights(const fs::path& folder) {
  verify_file(folder, kWeightsFile);
  return read_tensors(folder / kWeightsFile);
}

TrainProgress read_checkpoint_progress(const fs::path& folder) {
  verify_file(folder, kStateFile);
  return progress_of(read_state(folder), (folder / kStateFile).string());
}

Provenance read_checkpoint_provenance(const fs::path& folder) {
  verify_file(folder, kStateFile);
  return provenance_of(read_state(folder), (folder / kStateFile).string());
}

}  // namespace shine

#include "checkpoint/tensorboard_file.h"

#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <nlohmann/json.hpp>

#include "checkpoint/tfrecord.h"
#include "io/files/atomic_folder.h"
#include "io/json/json_file.h"
#include "io/json/jsonl.h"
#include "shine/common/error.h"

namespace shine {
namespace {

constexpr const char* kPrefix = "events.out.tfevents.";
constexpr const char* kSuffix = ".shine";

std::string file_name(double time) {
  char host[256] = "unknown";
  ::gethostname(host, sizeof host - 1);
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%010.0f", std::floor(time));  // TensorBoard sorts by name
  return str(kPrefix, seconds, '.', host, kSuffix);
}

void remove_event_files_but(const std::filesystem::path& kept) {
  std::vector<std::filesystem::path> old;
  for (const auto& entry : std::filesystem::directory_iterator(kept.parent_path())) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(kPrefix) && name.ends_with(kSuffix) && entry.path() != kept) old.push_back(entry.path());
  }
  for (const auto& path : old) std::filesystem::remove(path);
}

void add_scalars(const std::string& prefix, const nlohmann::json& object, std::vector<Scalar>& scalars) {
  for (const auto& [key, value] : object.items()) {
    const std::string tag = prefix + '/' + key;
    if (value.is_object()) add_scalars(tag, value, scalars);
    if (value.is_number()) scalars.push_back({tag, value.get<double>()});
    if (value.is_boolean()) scalars.push_back({tag, value.get<bool>() ? 1.0 : 0.0});
    if (value.is_null()) scalars.push_back({tag, std::numeric_limits<double>::quiet_NaN()});
  }
}

}  // namespace

std::vector<Scalar> scalars_of(const nlohmann::json& event) {
  std::string prefix = get_string(event, "kind", "metrics event");
  if (event.contains("set")) prefix += '/' + get_string(event, "set", "metrics event");
  nlohmann::json values = event;
  for (const char* key : {"step", "time"}) values.erase(key);
  std::vector<Scalar> scalars;
  add_scalars(prefix, values, scalars);
  return scalars;
}

TensorboardFile::TensorboardFile(std::filesystem::path folder, const std::filesystem::path& metrics)
    : folder_(std::move(folder)) {
  if (!std::filesystem::exists(metrics)) return;
  read_jsonl(metrics, [&](std::size_t, const nlohmann::json& event) { add(event); });
  out_.flush();
  check_written();
}

void TensorboardFile::write(const nlohmann::json& event) {
  add(event);
  out_.flush();
  check_written();
}

void TensorboardFile::start(double time) {
  make_folder(folder_);
  path_ = folder_ / file_name(time);
  remove_event_files_but(path_);
  out_.open(path_, std::ios::binary | std::ios::trunc);
  SHINE_CHECK(out_.good(), IoError, path_.string(), ": cannot be opened for writing");
  out_ << tfrecord(version_event(time));
}

void TensorboardFile::add(const nlohmann::json& event) {
  const double time = get_double_or(event, "time", 0.0, "metrics event");
  if (!out_.is_open()) start(time);
  out_ << tfrecord(scalars_event(time, get_int(event, "step", "metrics event"), scalars_of(event)));
}

void TensorboardFile::check_written() {
  SHINE_CHECK(out_.good(), IoError, path_.string(), ": cannot be written (is the disk full?)");
}

}  // namespace shine

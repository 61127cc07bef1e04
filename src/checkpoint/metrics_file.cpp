#include "checkpoint/metrics_file.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "io/files/text_file.h"
#include "io/json/json_file.h"
#include "io/json/jsonl.h"
#include "shine/common/str.h"

namespace shine {

namespace {

/// Seconds since the epoch, to the millisecond.
double time_now() {
  const std::chrono::duration<double, std::milli> now = std::chrono::system_clock::now().time_since_epoch();
  return std::round(now.count()) / 1000;
}

}  // namespace

MetricsFile::MetricsFile(const std::filesystem::path& path, const std::string& so_far,
                         const std::filesystem::path& tensorboard)
    : file_(path, so_far) {
  if (!tensorboard.empty()) tensorboard_.emplace(tensorboard, path);
}

void MetricsFile::write(nlohmann::ordered_json event) {
  event["time"] = time_now();
  file_.append(event.dump() + "\n");
  if (tensorboard_) tensorboard_->write(event);
}

std::string MetricsFile::content() const {
  return read_text_file(file_.path());
}

std::vector<ValidationTrace> read_validation_traces(const std::filesystem::path& path) {
  std::vector<ValidationTrace> traces;
  if (!std::filesystem::exists(path)) return traces;
  read_jsonl(path, [&](std::size_t line, const nlohmann::json& event) {
    const std::string where = str(path.string(), ":", line);
    if (get_string(event, "kind", where) != "validation") return;
    const std::string& set = get_string(event, "set", where);
    auto trace = std::find_if(traces.begin(), traces.end(), [&](const auto& known) { return known.set == set; });
    const std::int64_t step = get_int(event, "step", where);
    // A loss that is not finite is null in JSON.
    const double loss = get_double_or(event, "loss", std::numeric_limits<double>::quiet_NaN(), where);
    if (trace == traces.end()) trace = traces.insert(trace, {set, step, step, loss, loss});
    trace->last_step = step;
    trace->last_loss = loss;
  });
  return traces;
}

}  // namespace shine

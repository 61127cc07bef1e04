#pragma once

#include <filesystem>
#include <fstream>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace shine {

/// One point of a curve.
struct Scalar {
  std::string tag;  ///< "train/loss", "train/gradient_norms/m2p", "validation/reconstruction/loss"
  double value = 0.0;
};

/// The curves that a metrics event adds to, sorted by tag: its numbers under kind, set (where there is one) and key,
/// those of inner objects under one more part; true and false are 1 and 0. A non-finite number, null in JSON, is NaN,
/// which TensorBoard marks. `step`, `time`, strings and lists are not curves. Throws FormatError for an event without a
/// kind.
std::vector<Scalar> scalars_of(const nlohmann::json& event);

/// The metrics of a run as TensorBoard reads them: a TFRecord file of Event messages (tensorflow/core/util/event.proto)
/// in `folder`, named events.out.tfevents.<seconds>.<host>.shine after the first event's time.
///
/// The metrics file is authoritative; this one repeats its events, and its bytes depend on nothing else. It is
/// rewritten at a resume, so that no step appears twice, whatever an earlier process left behind.
class TensorboardFile {
 public:
  /// Writes all events of `metrics`, a file of JSON lines that need not exist, and removes event files of this program
  /// that have another name. Throws IoError, or FormatError for a metrics file that is not what MetricsFile writes.
  TensorboardFile(std::filesystem::path folder, const std::filesystem::path& metrics);

  /// Adds one event, flushed to the system: a process that is killed loses nothing. Throws IoError.
  void write(const nlohmann::json& event);

 private:
  void start(double time);
  void add(const nlohmann::json& event);
  void check_written();

  std::filesystem::path folder_, path_;
  std::ofstream out_;
};

}  // namespace shine

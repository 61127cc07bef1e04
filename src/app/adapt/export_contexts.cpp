#include "app/adapt/export_contexts.h"

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/adapt/generate_adapter.h"
#include "app/evaluate/unit_rounds.h"
#include "checkpoint/run_folder.h"
#include "common/format.h"
#include "common/stop_signals.h"
#include "distributed/exchange.h"
#include "io/files/atomic_folder.h"
#include "io/files/text_file.h"
#include "io/json/json_file.h"
#include "shine/common/error.h"
#include "shine/common/logging.h"

namespace shine {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOptionsFile = ".export.json";

fs::path path_of(const IdentifiedContext& context, const fs::path& output, AdapterFormat format) {
  return output / (context.id + (format == AdapterFormat::gguf ? ".gguf" : ""));
}

/// The options that all adapters of a folder share; they are not part of an identity.
void require_same_options(const fs::path& output, const ExportOptions& options) {
  const nlohmann::ordered_json own{{"format", enum_name(options.format)},
                                   {"dtype", enum_name(options.dtype.value_or(AdapterDtype::float32))}};
  const fs::path file = output / kOptionsFile;
  if (!fs::exists(file)) return write_file_atomically(file, own.dump() + "\n");
  const nlohmann::json saved = read_json_file(file);
  for (const auto& [key, value] : own.items()) {
    const std::string& before = get_string(saved, key, file.string());
    if (before != value) {
      throw ConfigError(str("the adapters there have ", key, " ", before, ", not ", value.get<std::string>()),
                        "--output " + output.string(), "choose another --output, or use the same options");
    }
  }
}

/// Batches of contexts whose adapters are missing; any rank makes and writes those of a batch.
class ContextExport : public UnitWork {
 public:
  /// A request with what was read for it.
  struct Job {
    const ContextsToExport& request;
    ExportBase base;
    std::vector<ContextIds> ids;  ///< of the request's contexts
  };

  ContextExport(const AdapterGenerator& generator, Job job, std::int64_t batch_size, std::int64_t rank)
      : generator_(generator), job_(std::move(job)), batch_size_(static_cast<std::size_t>(batch_size)), rank_(rank) {
    for (std::size_t i = 0; i < job_.request.contexts.size(); ++i) {
      if (!is_there(i)) missing_.push_back(i);
    }
  }

  std::size_t units() const override { return (missing_.size() + batch_size_ - 1) / batch_size_; }
  std::size_t missing() const { return missing_.size(); }

  std::optional<std::vector<std::string>> run(std::size_t unit) override {
    std::vector<ContextIds> batch;
    for_each_of(unit, [&](std::size_t i) { batch.push_back(job_.ids[i]); });
    const std::vector<Adapter> adapters = generator_.generate(batch);
    double worst = 0.0;
    std::size_t next = 0;
    for_each_of(unit, [&](std::size_t i) {
      const ReducedAdapter written = export_adapter(adapters[next++], path(i), job_.request.options, job_.base);
      worst = std::max(worst, written.discarded_of_all);
    });
    return std::vector<std::string>{format("%.17g", worst)};
  }

  std::string keep(std::size_t unit, const std::vector<std::string>& results) override {
    worst_ = std::max(worst_, std::stod(results.at(0)));
    const std::size_t written = std::min(missing_.size(), (unit + 1) * batch_size_);
    return str("adapter ", job_.request.contexts.size() - missing_.size() + written, " of ",
               job_.request.contexts.size());
  }

  /// The largest share of squared singular values that a lower rank has cost an adapter.
  double worst() const { return worst_; }

 private:
  template <class Take>
  void for_each_of(std::size_t unit, Take&& take) const {
    const std::size_t end = std::min(missing_.size(), (unit + 1) * batch_size_);
    for (std::size_t place = unit * batch_size_; place < end; ++place) take(missing_[place]);
  }

  fs::path path(std::size_t context) const {
    return path_of(job_.request.contexts[context], job_.request.output, job_.request.options.format);
  }

  /// Whether the adapter is there already. Throws ConfigError where another one is.
  bool is_there(std::size_t context) const {
    const fs::path file = path(context);
    if (!fs::exists(file)) return false;
    const std::string found = read_adapter(file, job_.base.config).metadata.identity;
    std::string expected = generator_.metadata(job_.ids[context]).identity;
    const std::int64_t most = job_.request.options.max_rank;
    if (most > 0 && most < rank_) expected = reduced_identity(expected, most);
    if (found == expected) return true;
    throw ConfigError(str("the adapter there has identity ", found.empty() ? "unknown" : found, ", and that of ",
                          job_.request.contexts[context].where, " is ", expected,
                          ": another context, checkpoint, backbone or options"),
                      file.string(), "choose another --output, or remove it");
  }

  const AdapterGenerator& generator_;
  Job job_;
  std::size_t batch_size_;
  std::int64_t rank_;  ///< of a generated LoRA
  std::vector<std::size_t> missing_;
  double worst_ = 0.0;
};

/// Rank 0's hold on the folder.
std::unique_ptr<RunLock> take_folder(const fs::path& output, const ExportOptions& options, const Rank& rank) {
  std::unique_ptr<RunLock> lock;
  if (rank.is_first()) {
    make_folder(output, "--output", "choose another one");
    lock = std::make_unique<RunLock>(RunFolder{output}, "--output", "another process exports into this folder");
    remove_partial_entries(output);
    require_same_options(output, options);
  }
  rank.group().barrier();  // the folder is there
  return lock;
}

}  // namespace

ContextsExported export_contexts(const ExperimentConfig& config, const WeightsSource& weights,
                                 const ContextsToExport& request, Rank& rank) {
  const ExportOptions& options = request.options;
  if (options.format == AdapterFormat::merged) {
    throw UnsupportedError("a whole model for every context", "--format merged with --contexts",
                           "export one by --context, or choose another format");
  }
  const std::int64_t lora_rank = config.hypernetwork.lora_rank;
  ContextExport::Job job{request, ExportBase::of(config.model.path), {}};
  check_export(request.output, options, job.base, lora_rank);
  StopSignals signals;
  const Experiment experiment = build_model(rank.own_config(config), weights);
  const AdapterGenerator generator(experiment, weights);
  for (const IdentifiedContext& context : request.contexts) {
    job.ids.push_back(encode_context(experiment, {context.where, context.text}, request.over_long));
  }
  const std::unique_ptr<RunLock> lock = take_folder(request.output, options, rank);
  ContextExport work(generator, std::move(job), config.evaluation.batch_size, lora_rank);
  rank.group().barrier();  // every rank knows what is missing
  const std::size_t kept = request.contexts.size() - work.missing();
  if (rank.is_first() && kept > 0) {
    log_info(str("going on: ", kept, " of ", request.contexts.size(), " adapters are there"));
  }
  signals.hold();
  const UnitsDone done = run_units(
      rank.group(), work, 0, [&] { return signals.received(); }, config.logging.progress);
  if (rank.is_first() && options.max_rank > 0) {
    log_info(format("share of the squared singular values that rank %lld leaves out: at most %.3g",
                    static_cast<long long>(options.max_rank), work.worst()));
  }
  return {request.contexts.size(), kept, done.stopped_by};
}

}  // namespace shine

#include "app/inspect/compare_runs.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "checkpoint/checkpoint_store.h"
#include "checkpoint/run_folder.h"
#include "common/format.h"
#include "config/config_io.h"
#include "io/json/json_file.h"
#include "io/json/jsonl.h"
#include "shine/app/experiment_config.h"
#include "shine/common/error.h"

namespace shine {
namespace {

constexpr std::int64_t kSmoothedOver = 50;  // steps

/// Losses by step.
using Losses = std::map<std::int64_t, double>;

/// What a run left behind.
struct Run {
  ExperimentConfig config;
  std::string state;                         ///< "finished", "not finished"
  std::optional<Provenance> made_by;         ///< of the newest readable checkpoint
  std::optional<TrainProgress> progress;     ///< of the same
  Losses losses;                             ///< of the training steps that were logged
  std::vector<double> speeds;                ///< tokens/s of these
  std::map<std::string, Losses> validation;  ///< by set
};

void read_event(const nlohmann::json& event, const std::string& where, Run& run) {
  const std::string& kind = get_string(event, "kind", where);
  if (kind != "train" && kind != "validation") return;
  const std::int64_t step = get_int(event, "step", where);
  const double loss = get_double_or(event, "loss", std::nan(""), where);  // null: not finite
  if (kind == "train") {
    run.losses[step] = loss;
    if (has_value(event, "tokens_per_second", where))
      run.speeds.push_back(get_double(event, "tokens_per_second", where));
    return;
  }
  run.validation[get_string(event, "set", where)][step] = loss;
}

void read_metrics(const std::filesystem::path& path, Run& run) {
  if (!std::filesystem::exists(path)) return;
  std::string line, where;
  read_lines(path, [&](std::size_t number, std::string_view text) {
    if (!line.empty()) read_event(parse_json(line, where), where, run);
    line = text;
    where = str(path.string(), ":", number);
    return true;
  });
  if (nlohmann::json::accept(line)) read_event(parse_json(line, where), where, run);
}

void read_newest_checkpoint(const std::filesystem::path& folder, Run& run) {
  for (const auto& checkpoint : CheckpointStore(folder).complete()) {
    try {
      run.progress = read_checkpoint_progress(checkpoint);
      run.made_by = read_checkpoint_provenance(checkpoint);
      return;
    } catch (const Error&) {  // damaged: a resume skips it too
      run.progress.reset();
    }
  }
}

Run read_run(const std::filesystem::path& folder) {
  SHINE_CHECK(std::filesystem::is_directory(folder), IoError, folder.string(), ": no such folder");
  const RunFolder files{folder};
  SHINE_CHECK(std::filesystem::exists(files.config()), FormatError, folder.string(),
              ": not a run's folder, it has no config.yaml (name a run.dir)");
  Run run;
  run.config = load_experiment_config(files.config());
  run.state = read_finished_mark(files) ? "finished" : "not finished";
  read_newest_checkpoint(folder, run);
  read_metrics(files.metrics(), run);
  return run;
}

/// Lines of a name, the values of A and B, and B - A.
class Table {
 public:
  void add(const std::string& name, std::optional<double> a, std::optional<double> b, const char* pattern = "%.5f") {
    const auto cell = [&](std::optional<double> value) { return value ? format(pattern, *value) : std::string("-"); };
    const std::string difference = a && b ? format("%+.3g", *b - *a) : "";
    add(name, cell(a), cell(b), difference);
  }
  void add(const std::string& name, const std::string& a, const std::string& b, const std::string& difference = "") {
    text_ += name + std::string(name.size() < 40 ? 40 - name.size() : 0, ' ');  // cells begin with a space
    text_ += format(" %16s %16s %12s", a.c_str(), b.c_str(), difference.c_str());
    text_.erase(text_.find_last_not_of(' ') + 1);
    text_ += '\n';
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string heading(const std::string& what, std::size_t differences) {
  if (differences == 0) return what + ": the same\n";
  return str(what, ": ", differences, differences == 1 ? " difference (A -> B)\n" : " differences (A -> B)\n");
}

std::string list(const std::string& what, const std::vector<std::string>& differences) {
  std::string text = heading(what, differences.size());
  for (const std::string& difference : differences) text += "  " + difference + "\n";
  return text;
}

std::string compare_provenance(const std::optional<Provenance>& a, const std::optional<Provenance>& b) {
  if (!a || !b) return "program: unknown, no readable checkpoint\n";
  std::vector<std::string> differences;
  const auto compare = [&](const std::string& name, const auto& left, const auto& right) {
    if (left != right) differences.push_back(str(name, ": ", left, " -> ", right));
  };
  compare("program", a->program, b->program);
  std::map<std::string, std::pair<std::string, std::string>> libraries;
  for (const auto& [name, version] : a->libraries) libraries[name].first = version;
  for (const auto& [name, version] : b->libraries) libraries[name].second = version;
  for (const auto& [name, versions] : libraries) compare(name, versions.first, versions.second);
  compare("device", a->device, b->device);
  compare("CPU threads", a->threads, b->threads);
  compare("ranks", a->ranks, b->ranks);
  return list("program, libraries and device", differences);
}

/// Steps done, as far as log and checkpoint tell.
std::int64_t steps_of(const Run& run) {
  const std::int64_t saved = run.progress ? run.progress->step : 0;
  return std::max(saved, run.losses.empty() ? 0 : run.losses.rbegin()->first);
}

/// Of losses that two runs wrote at different steps those that the other has too, and those of steps that it never came
/// to: else a run would differ from itself where it was only logged less often.
Losses comparable(const Losses& own, const Losses& other, std::int64_t other_steps) {
  if (other.empty()) return own;
  Losses kept;
  for (const auto& [step, loss] : own) {
    if (step > other_steps || other.contains(step)) kept.emplace(step, loss);
  }
  return kept.empty() ? own : kept;
}

/// The mean over the last kSmoothedOver steps, as far as they are there.
std::optional<double> smoothed(const Losses& losses) {
  if (losses.empty()) return std::nullopt;
  double sum = 0.0;
  std::int64_t count = 0;
  for (auto at = losses.upper_bound(losses.rbegin()->first - kSmoothedOver); at != losses.end(); ++at, ++count) {
    sum += at->second;
  }
  return sum / static_cast<double>(count);
}

std::optional<double> median(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

void add_run_rows(const Run& a, const Run& b, Table& table) {
  const auto of = [](const Run& run, auto member) -> std::optional<double> {
    if (!run.progress) return std::nullopt;
    return static_cast<double>(run.progress.value().*member);
  };
  const auto last = [](const Losses& losses) -> std::optional<double> {
    if (losses.empty()) return std::nullopt;
    return losses.rbegin()->second;
  };
  const std::int64_t steps_a = steps_of(a), steps_b = steps_of(b);
  const auto steps = [](std::int64_t count) {
    return count > 0 ? std::optional<double>(static_cast<double>(count)) : std::nullopt;
  };
  const Losses left = comparable(a.losses, b.losses, steps_b), right = comparable(b.losses, a.losses, steps_a);
  const bool together = !left.empty() && !right.empty() && left.rbegin()->first == right.rbegin()->first;
  const bool at_end = together && left.rbegin()->first == std::max(steps_a, steps_b);
  table.add("", std::string("A"), std::string("B"), "B - A");
  table.add("state", a.state, b.state);
  table.add("steps", steps(steps_a), steps(steps_b), "%.0f");
  table.add("seconds of training, at the checkpoint", of(a, &TrainProgress::seconds), of(b, &TrainProgress::seconds),
            "%.1f");
  table.add("tokens, at the checkpoint", of(a, &TrainProgress::tokens), of(b, &TrainProgress::tokens), "%.0f");
  table.add("tokens/s, median", median(a.speeds), median(b.speeds), "%.0f");
  const std::string place = together && !at_end ? str("at step ", left.rbegin()->first) : "last";
  table.add("training loss, " + place, last(left), last(right));
  table.add(str("training loss, mean of the last ", kSmoothedOver, " steps"), smoothed(left), smoothed(right));
}

struct ValidationLosses {
  double last = 0.0, best = std::nan(""), best_step = 0.0;
};

std::optional<ValidationLosses> summary(const Losses& losses) {
  if (losses.empty()) return std::nullopt;
  ValidationLosses result{.last = losses.rbegin()->second};
  for (const auto& [step, loss] : losses) {
    if (std::isnan(loss) || result.best <= loss) continue;
    result.best = loss;
    result.best_step = static_cast<double>(step);
  }
  return result;
}

void add_validation_rows(const Run& a, const Run& b, Table& table) {
  std::map<std::string, std::pair<Losses, Losses>> sets;
  for (const auto& [set, losses] : a.validation) sets[set].first = losses;
  for (const auto& [set, losses] : b.validation) sets[set].second = losses;
  for (const auto& [set, pair] : sets) {
    const auto left = summary(comparable(pair.first, pair.second, steps_of(b)));
    const auto right = summary(comparable(pair.second, pair.first, steps_of(a)));
    const auto add = [&, &set = set](const char* what, double ValidationLosses::*member, const char* pattern = "%.5f") {
      const auto value = [&](const auto& losses) {
        return losses ? std::optional<double>((*losses).*member) : std::nullopt;
      };
      table.add(set + what, value(left), value(right), pattern);
    };
    add(", last", &ValidationLosses::last);
    add(", best", &ValidationLosses::best);
    add(", best at step", &ValidationLosses::best_step, "%.0f");
  }
}

struct LossPair {
  std::int64_t step;
  double a, b;

  /// Losses are written with all their digits: equal text is an equal number.
  bool equal() const { return a == b || (std::isnan(a) && std::isnan(b)); }
  /// |B - A| / |A|; not a number where a loss is none.
  double difference() const { return std::abs(b - a) / std::abs(a); }
};

/// The training losses of the steps that both have logged.
std::vector<LossPair> common_losses(const Run& a, const Run& b) {
  std::vector<LossPair> pairs;
  for (const auto& [step, loss] : a.losses) {
    const auto other = b.losses.find(step);
    if (other != b.losses.end()) pairs.push_back({step, loss, other->second});
  }
  return pairs;
}

std::string describe_differences(std::vector<LossPair> pairs) {
  const auto left_out = std::erase_if(pairs, [](const LossPair& pair) { return !std::isfinite(pair.difference()); });
  const std::string rest = left_out == 0 ? "\n" : str(", and ", left_out, " where a loss is not finite\n");
  if (pairs.empty()) return str("|B - A| / |A| of the training losses: of no step", rest);
  const LossPair& largest = *std::ranges::max_element(pairs, {}, &LossPair::difference);
  double sum = 0.0;
  for (const LossPair& pair : pairs) sum += pair.difference();
  return str("|B - A| / |A| of the training losses: largest ",
             format("%.3f %% (step %lld), mean %.3f %%, last %.3f %% of ", 100 * largest.difference(),
                    static_cast<long long>(largest.step), 100 * sum / static_cast<double>(pairs.size()),
                    100 * pairs.back().difference()),
             pairs.size(), pairs.size() == 1 ? " logged step" : " logged steps", rest);
}

std::string compare_losses(const std::vector<LossPair>& pairs) {
  if (pairs.empty()) return "training losses: no step in common\n";
  const auto first = std::ranges::find_if(pairs, [](const LossPair& pair) { return !pair.equal(); });
  const auto equal = first - pairs.begin();
  if (first == pairs.end()) return str("training losses: identical for all ", equal, " logged steps in common\n");
  return str("training losses: ",
             equal == 0
                 ? "different"
                 : str("identical for ", equal, equal == 1 ? " logged step, different" : " logged steps, different"),
             " from step ", first->step,
             " on: ", format("%.9g and %.9g, B - A %+.3g\n", first->a, first->b, first->b - first->a),
             describe_differences(pairs));
}

}  // namespace

std::string compare_runs(const std::filesystem::path& a, const std::filesystem::path& b) {
  const Run left = read_run(a), right = read_run(b);
  const std::vector<std::string> keys =
      compare_configs(left.config, right.config, [](const Field& field) { return field.path != "run.dir"; });
  Table runs, validation;
  add_run_rows(left, right, runs);
  add_validation_rows(left, right, validation);
  std::string text = str("A: ", a.string(), "\nB: ", b.string(), "\n\n", list("configuration", keys),
                         compare_provenance(left.made_by, right.made_by), compare_losses(common_losses(left, right)),
                         "\n", runs.text());
  if (!validation.text().empty()) text += "\nvalidation loss\n" + validation.text();
  return text;
}

}  // namespace shine

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

/// A, B, ..
std::string letter(std::size_t run) {
  return std::string(1, static_cast<char>('A' + run));
}

std::string letters(std::size_t count, const char* between) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < count; ++i) names.push_back(letter(i));
  return join(names, between);
}

/// Lines of a name and the values of the runs; of two also B - A.
class Table {
 public:
  using Numbers = std::vector<std::optional<double>>;

  void add(const std::string& name, const Numbers& values, const char* pattern = "%.5f") {
    std::vector<std::string> cells;
    for (const auto& value : values) cells.push_back(value ? format(pattern, *value) : "-");
    const bool differ = values.size() == 2 && values[0] && values[1];
    add(name, cells, differ ? format("%+.3g", *values[1] - *values[0]) : "");
  }
  void add(const std::string& name, const std::vector<std::string>& cells, const std::string& difference = "") {
    text_ += name + std::string(name.size() < 40 ? 40 - name.size() : 0, ' ');  // cells begin with a space
    for (const std::string& cell : cells) text_ += format(" %16s", cell.c_str());
    text_ += format(" %12s", difference.c_str());
    text_.erase(text_.find_last_not_of(' ') + 1);
    text_ += '\n';
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string counted(std::size_t count, const std::string& noun) {
  return str(count, " ", noun, count == 1 ? "" : "s");
}

/// What differs among values of all runs, by name.
class Differences {
 public:
  /// @param values  a text for each run
  void compare(const std::string& name, const std::vector<std::string>& values) {
    runs_ = values.size();
    const auto differs = [&](const std::string& value) { return value != values.front(); };
    if (std::ranges::any_of(values, differs)) lines_.push_back(name + ": " + join(values, " -> "));
  }
  std::size_t count() const { return lines_.size(); }

  std::string list(const std::string& what) const {
    if (lines_.empty()) return what + ": the same\n";
    std::string text = str(what, ": ", counted(count(), "difference"), " (", letters(runs_, " -> "), ")\n");
    for (const std::string& line : lines_) text += "  " + line + "\n";
    return text;
  }

 private:
  std::size_t runs_ = 0;
  std::vector<std::string> lines_;
};

std::string compare_configurations(std::vector<Run>& runs, bool all_keys) {
  std::vector<FieldList> lists;
  for (Run& run : runs) lists.push_back(fields_of(run.config));
  Differences listed, of_tests;
  for (std::size_t i = 0; i < lists.front().fields.size(); ++i) {
    const std::string& path = lists.front().fields[i].path;
    if (path == "run.dir") continue;
    std::vector<std::string> values;
    for (const FieldList& list : lists) values.push_back(field_value(list.fields[i]));
    (path.starts_with("evaluation.") && !all_keys ? of_tests : listed).compare(path, values);
  }
  std::string text = listed.list("configuration");
  if (of_tests.count() > 0) {
    text += str("evaluation.*: ", counted(of_tests.count(), "difference"),
                ", which only tests read (--all-keys lists them)\n");
  }
  return text;
}

std::string compare_provenance(const std::vector<Run>& runs) {
  std::vector<std::string> unknown;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (!runs[i].made_by) unknown.push_back(letter(i));
  }
  if (!unknown.empty()) return str("program: unknown, no readable checkpoint in ", join(unknown, ", "), "\n");
  Differences differences;
  const auto compare = [&](const std::string& name, const auto& value_of) {
    std::vector<std::string> values;
    for (const Run& run : runs) values.push_back(str(value_of(run.made_by.value())));
    differences.compare(name, values);
  };
  compare("program", [](const Provenance& made_by) { return made_by.program; });
  std::map<std::string, std::vector<std::string>> libraries;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    for (const auto& [name, version] : runs[i].made_by->libraries) {
      libraries.try_emplace(name, runs.size()).first->second[i] = version;
    }
  }
  for (const auto& [name, versions] : libraries) differences.compare(name, versions);
  compare("device", [](const Provenance& made_by) { return made_by.device; });
  compare("CPU threads", [](const Provenance& made_by) { return made_by.threads; });
  compare("ranks", [](const Provenance& made_by) { return made_by.ranks; });
  return differences.list("program, libraries and device");
}

/// Steps done, as far as log and checkpoint tell.
std::int64_t steps_of(const Run& run) {
  const std::int64_t saved = run.progress ? run.progress->step : 0;
  return std::max(saved, run.losses.empty() ? 0 : run.losses.rbegin()->first);
}

/// Of losses that runs wrote at different steps those that the others have too, and those of steps that these never
/// came to: else a run would differ from itself where it was only logged less often.
/// @param losses  of each run
/// @param steps   that each run has done
std::vector<Losses> comparable(const std::vector<Losses>& losses, const std::vector<std::int64_t>& steps) {
  std::vector<Losses> comparable(losses);
  for (std::size_t own = 0; own < losses.size(); ++own) {
    Losses kept = losses[own];
    std::erase_if(kept, [&](const auto& entry) {
      for (std::size_t i = 0; i < losses.size(); ++i) {
        if (!losses[i].empty() && entry.first <= steps[i] && !losses[i].contains(entry.first)) return true;
      }
      return false;
    });
    if (!kept.empty()) comparable[own] = std::move(kept);
  }
  return comparable;
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

/// value_of(element) for each element.
template <class Values, class Function>
auto each(const Values& values, const Function& value_of) {
  std::vector<decltype(value_of(values.front()))> results;
  for (const auto& value : values) results.push_back(value_of(value));
  return results;
}

using Number = std::optional<double>;

void add_run_rows(const std::vector<Run>& runs, Table& table) {
  const auto of = [&](auto member) {
    return each(runs, [member](const Run& run) {
      return run.progress ? Number(static_cast<double>((*run.progress).*member)) : std::nullopt;
    });
  };
  const std::vector<std::int64_t> steps = each(runs, steps_of);
  const auto losses = comparable(each(runs, [](const Run& run) { return run.losses; }), steps);
  const auto last_step = [](const Losses& values) { return values.empty() ? -1 : values.rbegin()->first; };
  const std::int64_t last = last_step(losses.front());
  const bool together =
      last >= 0 && std::ranges::all_of(losses, [&](const Losses& values) { return last_step(values) == last; });
  const std::string place = together && last != std::ranges::max(steps) ? str("at step ", last) : "last";
  std::vector<std::string> names;
  for (std::size_t i = 0; i < runs.size(); ++i) names.push_back(letter(i));
  table.add("", names, runs.size() == 2 ? "B - A" : "");
  table.add("state", each(runs, [](const Run& run) { return run.state; }));
  table.add(
      "steps",
      each(steps, [](std::int64_t count) { return count > 0 ? Number(static_cast<double>(count)) : std::nullopt; }),
      "%.0f");
  table.add("seconds of training, at the checkpoint", of(&TrainProgress::seconds), "%.1f");
  table.add("tokens, at the checkpoint", of(&TrainProgress::tokens), "%.0f");
  table.add("tokens/s, median", each(runs, [](const Run& run) { return median(run.speeds); }), "%.0f");
  table.add("training loss, " + place, each(losses, [](const Losses& values) {
              return values.empty() ? std::nullopt : Number(values.rbegin()->second);
            }));
  table.add(str("training loss, mean of the last ", kSmoothedOver, " steps"), each(losses, smoothed));
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

void add_validation_rows(const std::vector<Run>& runs, Table& table) {
  std::map<std::string, std::vector<Losses>> sets;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    for (const auto& [set, losses] : runs[i].validation) sets.try_emplace(set, runs.size()).first->second[i] = losses;
  }
  const std::vector<std::int64_t> steps = each(runs, steps_of);
  for (const auto& [set, losses] : sets) {
    const auto summaries = each(comparable(losses, steps), summary);
    const auto of = [&summaries](double ValidationLosses::*member) {
      return each(summaries, [member](const std::optional<ValidationLosses>& found) {
        return found ? Number((*found).*member) : std::nullopt;
      });
    };
    table.add(set + ", last", of(&ValidationLosses::last));
    table.add(set + ", best", of(&ValidationLosses::best));
    table.add(set + ", best at step", of(&ValidationLosses::best_step), "%.0f");
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

/// @param name  of the second run
std::string describe_differences(std::vector<LossPair> pairs, const std::string& name) {
  const auto left_out = std::erase_if(pairs, [](const LossPair& pair) { return !std::isfinite(pair.difference()); });
  const std::string rest = left_out == 0 ? "\n" : str(", and ", left_out, " where a loss is not finite\n");
  const std::string what = str("|", name, " - A| / |A| of the training losses: ");
  if (pairs.empty()) return str(what, "of no step", rest);
  const LossPair& largest = *std::ranges::max_element(pairs, {}, &LossPair::difference);
  double sum = 0.0;
  for (const LossPair& pair : pairs) sum += pair.difference();
  return str(what, "largest ",
             format("%.3f %% (step %lld), mean %.3f %%, last %.3f %% of ", 100 * largest.difference(),
                    static_cast<long long>(largest.step), 100 * sum / static_cast<double>(pairs.size()),
                    100 * pairs.back().difference()),
             counted(pairs.size(), "logged step"), rest);
}

/// @param what  "training losses"
/// @param name  of the second run
std::string compare_losses(const std::vector<LossPair>& pairs, const std::string& what, const std::string& name) {
  if (pairs.empty()) return what + ": no step in common\n";
  const auto first = std::ranges::find_if(pairs, [](const LossPair& pair) { return !pair.equal(); });
  const auto equal = static_cast<std::size_t>(first - pairs.begin());
  if (first == pairs.end()) return str(what, ": identical for all ", equal, " logged steps in common\n");
  return str(what, ": ", equal == 0 ? "different" : str("identical for ", counted(equal, "logged step"), ", different"),
             " from step ", first->step, " on: ", format("%.9g and %.9g, ", first->a, first->b), name,
             format(" - A %+.3g\n", first->b - first->a), describe_differences(pairs, name));
}

/// Each run's beside those of the first.
std::string compare_all_losses(const std::vector<Run>& runs) {
  std::string text;
  for (std::size_t i = 1; i < runs.size(); ++i) {
    const std::string what = runs.size() == 2 ? "training losses" : "training losses of A and " + letter(i);
    text += compare_losses(common_losses(runs.front(), runs[i]), what, letter(i));
  }
  return text;
}

}  // namespace

std::string compare_runs(const std::vector<std::filesystem::path>& folders, bool all_keys) {
  SHINE_CHECK(folders.size() >= 2 && folders.size() <= kMostRuns, ConfigError, "between 2 and ", kMostRuns,
              " runs can be compared, not ", folders.size());
  std::string text;
  std::vector<Run> runs;
  for (std::size_t i = 0; i < folders.size(); ++i) {
    runs.push_back(read_run(folders[i]));
    text += letter(i) + ": " + folders[i].string() + "\n";
  }
  Table table, validation;
  add_run_rows(runs, table);
  add_validation_rows(runs, validation);
  text += str("\n", compare_configurations(runs, all_keys), compare_provenance(runs), compare_all_losses(runs), "\n",
              table.text());
  if (!validation.text().empty()) text += "\nvalidation loss\n" + validation.text();
  return text;
}

}  // namespace shine

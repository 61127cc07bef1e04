#include "app/evaluate/unit_rounds.h"

#include <nlohmann/json.hpp>

#include "common/timer.h"
#include "distributed/exchange.h"
#include "shine/common/str.h"
#include "train/progress.h"

namespace shine {
namespace {

/// A rank's message at the end of a round: {"stop": reason, "results": [texts] or null}.
std::string do_share(UnitWork& work, std::size_t unit, const std::function<std::string()>& stop_reason) {
  nlohmann::json share{{"results", nullptr}};
  if (unit < work.units() && stop_reason().empty()) {
    if (const auto results = work.run(unit)) share["results"] = *results;
  }
  share["stop"] = stop_reason();
  return share.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

UnitsDone run_units(ProcessGroup& group, UnitWork& work, std::size_t done,
                    const std::function<std::string()>& stop_reason, ProgressForm progress) {
  done = std::stoull(broadcast_text(group, std::to_string(done)));
  ProgressLine line(group.is_first() ? progress : ProgressForm::none);
  const std::size_t first = done, total = work.units();
  const Timer timer;
  std::string stopped_by;
  while (done < total && stopped_by.empty()) {
    const std::string own = do_share(work, done + static_cast<std::size_t>(group.rank()), stop_reason);
    bool without_gap = true;
    for (const std::string& text : gather_texts(group, own)) {
      const nlohmann::json share = nlohmann::json::parse(text);
      if (stopped_by.empty()) stopped_by = share.at("stop").get<std::string>();
      without_gap = without_gap && !share.at("results").is_null();
      if (!without_gap) continue;
      const std::size_t unit = done++;
      if (!group.is_first()) continue;
      const std::string note = work.keep(unit, share.at("results").get<std::vector<std::string>>());
      const double seconds_a_unit = timer.seconds() / static_cast<double>(done - first);
      line.show(static_cast<std::int64_t>(done), static_cast<std::int64_t>(total),
                str("batch ", done, "/", total, "  ", note, "  ",
                    duration_text(seconds_a_unit * static_cast<double>(total - done)), " left"));
    }
  }
  return {done, done == total ? "" : stopped_by};
}

}  // namespace shine

#include "data/pretrain/text_groups.h"

#include <algorithm>
#include <utility>

#include "shine/common/error.h"

namespace shine {
namespace {

struct OpenGroup {
  std::vector<std::size_t> texts;
  std::int64_t room = 0;
};

}  // namespace

TextGroups pack_texts(const std::vector<std::int64_t>& costs, std::int64_t max_cost, std::size_t open_groups) {
  SHINE_CHECK(max_cost > 0, ConfigError, "texts cannot be packed into conversations of ", max_cost, " tokens");

  TextGroups packed;
  std::vector<OpenGroup> places;
  std::int64_t used = 0;
  for (std::size_t text = 0; text < costs.size(); ++text) {
    const std::int64_t cost = costs[text];
    used += std::min(cost, max_cost);
    if (cost > max_cost || open_groups == 0) packed.groups.push_back({text});
    if (cost > max_cost) {
      ++packed.report.over_long;
      packed.report.tokens_cut += cost - max_cost;
    }
    if (cost > max_cost || open_groups == 0) continue;
    auto place = std::ranges::find_if(places, [cost](const OpenGroup& group) { return group.room >= cost; });
    if (place == places.end() && places.size() < open_groups) {
      place = places.insert(place, OpenGroup{{}, max_cost});
    } else if (place == places.end()) {
      place = std::ranges::min_element(places, {}, &OpenGroup::room);
      packed.groups.push_back(std::exchange(place->texts, {}));
      place->room = max_cost;
    }
    place->texts.push_back(text);
    place->room -= cost;
  }
  for (auto& group : places) packed.groups.push_back(std::move(group.texts));

  packed.report.texts = costs.size();
  packed.report.groups = packed.groups.size();
  if (!packed.groups.empty()) {
    packed.report.fill =
        static_cast<double>(used) / (static_cast<double>(packed.groups.size()) * static_cast<double>(max_cost));
  }
  return packed;
}

}  // namespace shine

#include "data/pretrain/text_groups.h"

#include <algorithm>
#include <array>
#include <utility>

#include "shine/common/error.h"

namespace shine {

TextPacker::TextPacker(std::int64_t max_cost, std::size_t open_groups, Take take)
    : max_cost_(max_cost), open_groups_(open_groups), take_(std::move(take)) {
  SHINE_CHECK(max_cost > 0, ConfigError, "texts cannot be packed into conversations of ", max_cost, " tokens");
}

void TextPacker::close(std::span<const std::size_t> texts) {
  ++report_.groups;
  take_(texts);
}

void TextPacker::add(std::size_t text, std::int64_t cost) {
  ++report_.texts;
  used_ += std::min(cost, max_cost_);
  if (cost > max_cost_) {
    ++report_.over_long;
    report_.tokens_cut += cost - max_cost_;
  }
  if (cost > max_cost_ || open_groups_ == 0) return close(std::array{text});
  auto place = std::ranges::find_if(places_, [cost](const OpenGroup& group) { return group.room >= cost; });
  if (place == places_.end() && places_.size() < open_groups_) {
    place = places_.insert(place, OpenGroup{{}, max_cost_});
  } else if (place == places_.end()) {
    place = std::ranges::min_element(places_, {}, &OpenGroup::room);
    close(place->texts);
    place->texts.clear();
    place->room = max_cost_;
  }
  place->texts.push_back(text);
  place->room -= cost;
}

PackingReport TextPacker::finish() {
  for (const OpenGroup& group : places_) close(group.texts);
  places_.clear();
  if (report_.groups > 0) {
    report_.fill = static_cast<double>(used_) / (static_cast<double>(report_.groups) * static_cast<double>(max_cost_));
  }
  return report_;
}

TextGroups pack_texts(const std::vector<std::int64_t>& costs, std::int64_t max_cost, std::size_t open_groups) {
  TextGroups packed;
  TextPacker packer(max_cost, open_groups, [&](std::span<const std::size_t> texts) {
    packed.groups.emplace_back(texts.begin(), texts.end());
  });
  for (std::size_t text = 0; text < costs.size(); ++text) packer.add(text, costs[text]);
  packed.report = packer.finish();
  return packed;
}

}  // namespace shine

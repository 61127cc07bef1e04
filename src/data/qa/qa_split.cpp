#include "data/qa/qa_split.h"

#include <iterator>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "data/pretrain/documents.h"
#include "shine/common/error.h"

namespace shine {
namespace {

std::vector<QaItem> read_all(const std::vector<std::string>& files, std::size_t limit) {
  std::vector<QaItem> items;
  for (const std::string& file : files) {
    std::vector<QaItem> some = read_qa_items(file);
    items.insert(items.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
    if (limit > 0 && items.size() >= limit) break;
  }
  if (limit > 0 && items.size() > limit) items.resize(limit);
  return items;
}

}  // namespace

QaSplit split_qa_items(std::vector<QaItem> items, double share, std::uint64_t seed, const std::string& where) {
  std::vector<std::string> contexts;
  contexts.reserve(items.size());
  for (const QaItem& item : items) contexts.push_back(item.context);
  const DocumentSplit documents = split_documents(std::move(contexts), share, seed, where);
  const std::unordered_set<std::string_view> apart(documents.validation.begin(), documents.validation.end());
  QaSplit split;
  for (QaItem& item : items) {
    std::vector<QaItem>& side = apart.contains(item.context) ? split.validation : split.train;
    side.push_back(std::move(item));
  }
  return split;
}

QaSplit load_qa_items(const DataConfig& config, std::uint64_t seed) {
  std::vector<QaItem> train = read_all(config.train, static_cast<std::size_t>(config.max_texts));
  SHINE_CHECK(!train.empty(), ConfigError, "data.train: ", join(config.train, ", "),
              ": no question to train on (name files that hold items)");
  if (config.validation.empty()) {
    return split_qa_items(std::move(train), config.validation_share, seed, join(config.train, ", "));
  }
  QaSplit split{std::move(train), read_all(config.validation, 0)};
  if (config.check_overlap) check_contexts_disjoint(split.train, split.validation);
  return split;
}

}  // namespace shine

#include "data/pretrain/documents.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "data/pretrain/document_reader.h"
#include "data/sampling/random_streams.h"
#include "shine/common/error.h"

namespace shine {
namespace {

/// Takes documents until there are enough.
class Collector {
 public:
  explicit Collector(std::size_t max_texts) : max_texts_(max_texts) {}

  bool full() const { return max_texts_ > 0 && documents_.texts.size() >= max_texts_; }

  void add(DocumentText document) {
    if (document.repaired) ++documents_.repaired;
    if (document.text.empty()) {
      ++documents_.empty;
    } else {
      documents_.texts.push_back(std::move(document.text));
    }
  }

  Documents take() { return std::move(documents_); }

 private:
  std::size_t max_texts_;
  Documents documents_;
};

void read_file(const std::filesystem::path& file, std::string_view separator, Collector& collector) {
  const DocumentFormat format(file);
  DocumentReader reader(file, separator);
  for (RawDocument raw; !collector.full() && reader.next(raw);) collector.add(format.read(raw));
  reader.report();
}

std::size_t target_count(std::size_t texts, double share) {
  return std::max<std::size_t>(1, static_cast<std::size_t>(std::llround(share * static_cast<double>(texts))));
}

/// For each text the number of the different text that it is, and how often each of these occurs.
struct DifferentTexts {
  std::vector<std::size_t> number;
  std::vector<std::size_t> occurrences;
};

DifferentTexts find_different(const std::vector<std::string>& texts) {
  DifferentTexts result;
  std::unordered_map<std::string_view, std::size_t> seen;
  for (const auto& text : texts) {
    const auto [place, is_new] = seen.try_emplace(text, seen.size());
    if (is_new) result.occurrences.push_back(0);
    ++result.occurrences[place->second];
    result.number.push_back(place->second);
  }
  return result;
}

}  // namespace

Documents read_documents(const std::vector<std::filesystem::path>& files, const DocumentOptions& options) {
  SHINE_CHECK(!files.empty(), ConfigError, "no text file is named");
  Collector collector(options.max_texts);
  for (const auto& file : files) {
    if (collector.full()) break;
    read_file(file, options.separator, collector);
  }
  return collector.take();
}

DocumentSplit split_documents(std::vector<std::string> texts, double share, std::uint64_t seed,
                              const std::string& where) {
  SHINE_CHECK(share >= 0 && share < 1, ConfigError, "the validation share must be in [0, 1), found ", share);
  DocumentSplit split;
  if (share == 0) {
    split.train = std::move(texts);
    return split;
  }
  const DifferentTexts different = find_different(texts);
  const std::size_t count = different.occurrences.size();
  if (count < 2) {
    throw ConfigError(str("a validation share needs at least two different documents, found ", count), where,
                      "name validation files, or set the share to 0");
  }

  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  stream_of(seed, RandomPurpose::validation_split).shuffle(order);
  const std::size_t wanted = target_count(texts.size(), share);
  std::vector<bool> held_out(count, false);
  std::size_t taken = 0;
  for (std::size_t i = 0; i + 1 < count && taken < wanted; ++i) {
    held_out[order[i]] = true;
    taken += different.occurrences[order[i]];
  }
  for (std::size_t i = 0; i < texts.size(); ++i) {
    auto& side = held_out[different.number[i]] ? split.validation : split.train;
    side.push_back(std::move(texts[i]));
  }
  return split;
}

DocumentSplit split_documents(std::vector<std::string> train, std::vector<std::string> validation) {
  const std::unordered_set<std::string_view> held_out(validation.begin(), validation.end());
  DocumentSplit split;
  split.dropped_from_train = std::erase_if(train, [&](const std::string& text) { return held_out.contains(text); });
  SHINE_CHECK(!train.empty() || split.dropped_from_train == 0, ConfigError, "all ", split.dropped_from_train,
              " training documents are also validation documents (name other files, or a validation share)");
  split.train = std::move(train);
  split.validation = std::move(validation);
  return split;
}

DocumentSplit load_documents(const DataConfig& config, std::uint64_t seed) {
  const auto read = [&config](const std::vector<std::string>& files, std::size_t max_texts) {
    return read_documents({files.begin(), files.end()}, {.separator = config.separator, .max_texts = max_texts});
  };
  Documents train = read(config.train, static_cast<std::size_t>(config.max_texts));
  Documents validation;
  if (!config.validation.empty()) validation = read(config.validation, 0);
  DocumentSplit split =
      config.validation.empty()
          ? split_documents(std::move(train.texts), config.validation_share, seed, join(config.train, ", "))
          : split_documents(std::move(train.texts), std::move(validation.texts));
  split.empty = train.empty + validation.empty;
  split.repaired = train.repaired + validation.repaired;
  return split;
}

}  // namespace shine

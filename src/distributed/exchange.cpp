#include "distributed/exchange.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "shine/common/error.h"
#include "shine/common/str.h"
#include "shine/common/version.h"

namespace shine {
namespace {

at::Tensor bytes_of(std::string_view text, std::int64_t size) {
  at::Tensor bytes = at::zeros({size}, at::kByte);
  std::copy(text.begin(), text.end(), static_cast<char*>(bytes.mutable_data_ptr()));
  return bytes;
}

std::string text_of(const at::Tensor& bytes, std::int64_t size) {
  return {static_cast<const char*>(bytes.const_data_ptr()), static_cast<std::size_t>(size)};
}

}  // namespace

std::string broadcast_text(ProcessGroup& group, const std::string& text, int root) {
  if (group.size() == 1) return text;
  at::Tensor length = at::full({1}, static_cast<std::int64_t>(text.size()), at::kLong);
  group.broadcast(length, root);
  const auto size = length.item<std::int64_t>();
  at::Tensor bytes = group.rank() == root ? bytes_of(text, size) : at::zeros({size}, at::kByte);
  if (size > 0) group.broadcast(bytes, root);
  return text_of(bytes, size);
}

std::vector<std::string> gather_texts(ProcessGroup& group, const std::string& text) {
  const std::int64_t ranks = group.size();
  const at::Tensor lengths = at::zeros({ranks}, at::kLong);
  group.all_gather(lengths, at::full({1}, static_cast<std::int64_t>(text.size()), at::kLong));
  const auto longest = std::max<std::int64_t>(1, lengths.max().item<std::int64_t>());
  const at::Tensor all = at::zeros({ranks, longest}, at::kByte);
  group.all_gather(all, bytes_of(text, longest));
  std::vector<std::string> texts;
  for (std::int64_t rank = 0; rank < ranks; ++rank) {
    texts.push_back(text_of(all[rank], lengths[rank].item<std::int64_t>()));
  }
  return texts;
}

void require_equal(ProcessGroup& group, const std::string& text, std::string_view what, std::string_view cure) {
  const std::vector<std::string> texts = gather_texts(group, text);
  std::vector<std::string> others;
  for (std::size_t rank = 1; rank < texts.size(); ++rank) {
    if (texts[rank] != texts[0]) others.push_back(std::to_string(rank));
  }
  if (others.empty()) return;
  throw ConfigError(str("differs from rank 0's on rank ", join(others, ", ")), what, cure);
}

void require_same_work(ProcessGroup& group, const std::string& config_yaml,
                       const std::map<std::string, std::string>& fingerprints) {
  require_equal(group, version(), "the program's version", "start the same program on every machine");
  require_equal(group, config_yaml, "the configuration", "start all ranks with the same options");
  for (const auto& [name, value] : fingerprints) {
    require_equal(group, value, "content of " + name, "give every machine the same files");
  }
}

}  // namespace shine

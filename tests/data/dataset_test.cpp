#include "data/dataset.h"

#include <gtest/gtest.h>

#include <memory>

#include "common/hash.h"
#include "data/qa/shifted_contexts.h"

namespace shine {
namespace {

/// Three samples: context {epoch, index}, conversation {index}.
class Numbered : public Dataset {
 public:
  explicit Numbered(std::uint64_t fingerprint) : fingerprint_(fingerprint) {}
  std::size_t size() const override { return 3; }
  Sample sample(std::int64_t epoch, std::size_t index) const override {
    const auto number = static_cast<std::int64_t>(index);
    return {.context_ids = {epoch, number}, .conversation_ids = {number}, .labels = {number}};
  }
  std::uint64_t fingerprint() const override { return fingerprint_; }
  std::int64_t tokens(std::size_t index) const override { return 3 + static_cast<std::int64_t>(index); }

 private:
  std::uint64_t fingerprint_;
};

TEST(Fnv1a, EqualsThePublishedValues) {
  EXPECT_EQ(Fnv1a().value(), 0xCBF29CE484222325);
  EXPECT_EQ(Fnv1a().add_bytes("a").value(), 0xAF63DC4C8601EC8C);
  EXPECT_EQ(Fnv1a().add_bytes("foo").add_bytes("bar").value(), 0x85944171F73967E8);
  using namespace std::string_view_literals;
  EXPECT_EQ(Fnv1a().add(std::uint64_t{0x0201}).value(), Fnv1a().add_bytes("\1\2\0\0\0\0\0\0"sv).value());
  EXPECT_EQ(Fnv1a().add(1.0).value(), Fnv1a().add(std::uint64_t{0x3FF0000000000000}).value());
}

/// A dataset that does not tell its lengths.
class Unmeasured : public Dataset {
 public:
  std::size_t size() const override { return 2; }
  Sample sample(std::int64_t /*epoch*/, std::size_t /*index*/) const override { return {}; }
};

TEST(Dataset, TellsTheTokensOfEachSample) {
  EXPECT_EQ(token_counts(Unmeasured()), (std::vector<std::int64_t>{1, 1})) << "all alike";
  EXPECT_EQ(token_counts(Numbered(7)), (std::vector<std::int64_t>{3, 4, 5}));
  EXPECT_EQ(token_counts(ShiftedContexts(std::make_shared<Numbered>(7))), (std::vector<std::int64_t>{3, 4, 5}));
}

TEST(ShiftedContexts, TakeTheNextContextAndTheirOwnFingerprint) {
  const ShiftedContexts shifted(std::make_shared<Numbered>(7));
  ASSERT_EQ(shifted.size(), 3U);
  EXPECT_EQ(shifted.sample(5, 1).context_ids, (std::vector<std::int64_t>{5, 2}));
  EXPECT_EQ(shifted.sample(5, 2).context_ids, (std::vector<std::int64_t>{5, 0}));
  EXPECT_EQ(shifted.sample(5, 2).conversation_ids, std::vector<std::int64_t>{2});

  const ShiftedContexts other(std::make_shared<Numbered>(8));
  EXPECT_NE(shifted.fingerprint(), 0U);
  EXPECT_NE(shifted.fingerprint(), 7U);
  EXPECT_NE(shifted.fingerprint(), other.fingerprint());
  EXPECT_EQ(ShiftedContexts(std::make_shared<Numbered>(0)).fingerprint(), 0U);
}

}  // namespace
}  // namespace shine

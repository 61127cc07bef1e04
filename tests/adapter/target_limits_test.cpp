#include "adapter/target_limits.h"

#include <gtest/gtest.h>

#include "shine/common/error.h"
#include "shine/config/enum_names.h"
#include "support/faults.h"

namespace shine {
namespace {

std::string fault_text(const AdapterShape& shape, std::optional<AdapterTarget> target) {
  return test::fault_of<UnsupportedError>([&] { require_limits(shape, target, "x"); });
}

TEST(TargetLimits, RanksOfVllm) {
  for (const std::int64_t rank : {1, 7, 16, 512}) {
    EXPECT_EQ(limit_faults({AdapterFormat::peft, rank, false}, AdapterTarget::vllm).size(), 0U) << rank;
  }
  EXPECT_EQ(fault_text({AdapterFormat::peft, 513, false}, AdapterTarget::vllm),
            "x: rank 513, and vLLM's --max-lora-rank goes up to 512 (--max-rank 512, or --format merged)");
  EXPECT_EQ(limit_faults({AdapterFormat::merged, 513, false}, AdapterTarget::vllm).size(), 0U);
  EXPECT_EQ(limit_faults({AdapterFormat::peft, 513, false}, AdapterTarget::sglang).size(), 0U);
}

TEST(TargetLimits, NamesTheRankToStartVllmWith) {
  const auto option_of = [](std::int64_t rank) {
    return how_to_load({AdapterFormat::peft, rank, false}, AdapterTarget::vllm, "out");
  };
  EXPECT_EQ(option_of(16), "vllm serve MODEL --enable-lora --lora-modules NAME=out") << "the server's default";
  EXPECT_EQ(option_of(17), "vllm serve MODEL --enable-lora --max-lora-rank 32 --lora-modules NAME=out");
  EXPECT_EQ(option_of(257), "vllm serve MODEL --enable-lora --max-lora-rank 320 --lora-modules NAME=out");
  EXPECT_EQ(option_of(512), "vllm serve MODEL --enable-lora --max-lora-rank 512 --lora-modules NAME=out");
}

TEST(TargetLimits, BiasesNeedAFormatThatHoldsThem) {
  for (const AdapterFormat format : {AdapterFormat::peft, AdapterFormat::gguf, AdapterFormat::mlx}) {
    const auto faults = limit_faults({format, 8, true}, std::nullopt);
    ASSERT_EQ(faults.size(), 1U);
    EXPECT_NE(faults[0].cure.find("--format merged"), std::string::npos);
  }
  for (const AdapterFormat format : {AdapterFormat::shine, AdapterFormat::merged}) {
    EXPECT_EQ(limit_faults({format, 8, true}, std::nullopt).size(), 0U);
  }
}

TEST(TargetLimits, EveryTargetReadsItsFormatAlone) {
  const auto accepted = [](AdapterTarget target) {
    std::string names;
    for (const AdapterFormat format :
         {AdapterFormat::shine, AdapterFormat::peft, AdapterFormat::gguf, AdapterFormat::mlx, AdapterFormat::merged}) {
      if (limit_faults({format, 8, false}, target).empty()) names += std::string(enum_name(format)) + " ";
    }
    return names;
  };
  EXPECT_EQ(accepted(AdapterTarget::vllm), "peft merged ");
  EXPECT_EQ(accepted(AdapterTarget::sglang), "peft merged ");
  EXPECT_EQ(accepted(AdapterTarget::peft), "peft merged ");
  EXPECT_EQ(accepted(AdapterTarget::mlx), "mlx merged ");
  EXPECT_EQ(accepted(AdapterTarget::llama_cpp), "gguf ");
}

TEST(TargetLimits, AllFaultsAreInOneLine) {
  const std::string text = fault_text({AdapterFormat::mlx, 600, true}, AdapterTarget::vllm);
  for (const char* part :
       {"changes biases", "does not read format mlx", "rank 600", "--format peft or merged", "--max-rank 512"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " is not in " << text;
  }
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace shine

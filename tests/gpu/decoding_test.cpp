// Decoding on a GPU: the step as a CUDA graph, as single launches, and the decoder's own cached forward.
#include <gtest/gtest.h>

#include "decoder/decoding_step.h"
#include "decoder/tiny_model.h"
#include "gpu/gpu_test.h"
#include "shine/eval/generation.h"

namespace shine::test {
namespace {

class GpuDecoding : public GpuTest {
 protected:
  /// Made on the CPU; weights do not depend on the device.
  std::unique_ptr<Decoder> decoder(at::ScalarType type) const {
    DecoderOptions options;
    options.dtype = type;
    options.device = gpu();
    options.attention = AttentionLayout::padded;
    auto made = std::make_unique<Decoder>(tiny_config(), options);
    initialise_decoder(*made, /*gain=*/1.0, /*seed=*/1);
    return made;
  }
  /// Of four prompts, the last one given.
  std::vector<std::size_t> prompt_lengths(std::int64_t last) {
    std::vector<std::size_t> lengths;
    for (const std::int64_t length : {draw().odd(3, 33), std::int64_t{1}, draw().any(1, 59), last}) {
      lengths.push_back(static_cast<std::size_t>(length));
    }
    return lengths;
  }
  static LoraTree tree(std::int64_t adapters) {
    LoraTree made = random_tree(tiny_config().lora_spec(), adapters, 7);
    for_each_tensor(made, [](const std::string&, at::Tensor& tensor) { tensor = tensor.to(gpu()); });
    return made;
  }
};

TEST_F(GpuDecoding, AGraphGivesTheBitsOfSingleLaunches) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto model = decoder(type);
    const LoraTree lora = tree(2);
    const auto lengths = prompt_lengths(254);
    std::vector<at::Tensor> logits;
    for (const bool capture : {true, false}) {
      KvCache cache = make_cache(*model, 4);
      cache.reserve(300);
      model->forward(TokenRows::pack(random_rows(lengths, 1), gpu()), &lora, cache);
      DecodingStep step(*model, &lora, cache, capture);
      std::vector<at::Tensor> steps;
      for (std::uint64_t token = 0; token < 6; ++token) {  // over the end of the first window: captured twice
        steps.push_back(
            step.run(random_ids(4, 20 + token), {true, true, true, true}).to(at::kCPU, at::kFloat, false, true));
      }
      logits.push_back(at::stack(steps));
    }
    EXPECT_TRUE(at::equal(logits[0], logits[1])) << type;
  }
}

TEST_F(GpuDecoding, FixedStepsGiveTheLogitsOfTheCachedForward) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto model = decoder(type);
    const LoraTree lora = tree(4);
    KvCache fixed = make_cache(*model, 4), plain = make_cache(*model, 4);
    fixed.reserve(64);
    const auto lengths = prompt_lengths(draw().odd(3, 59));
    for (KvCache* cache : {&fixed, &plain}) {
      model->forward(TokenRows::pack(random_rows(lengths, 1), gpu()), &lora, *cache);
    }
    DecodingStep step(*model, &lora, fixed, /*capture=*/true);
    for (std::uint64_t token = 0; token < 4; ++token) {
      const std::vector<std::int64_t> ids = random_ids(4, 20 + token);
      const at::Tensor found = step.run(ids, {true, true, true, true}).to(at::kCPU, at::kFloat, false, true);
      const auto rows = TokenRows::pack({{ids[0]}, {ids[1]}, {ids[2]}, {ids[3]}}, gpu());
      const at::Tensor expected = model->logits(model->forward(rows, &lora, plain)).to(at::kCPU, at::kFloat);
      EXPECT_LT(relative_error(found, expected), type == at::kFloat ? 1e-4 : 5e-2) << type;
    }
  }
}

TEST_F(GpuDecoding, AnswersAreTheSameWithAndWithoutAGraph) {
  const auto model = decoder(at::kFloat);
  const LoraTree lora = tree(2);
  const auto prompts = random_rows(prompt_lengths(250), 1);
  std::vector<GenerationSession::Rows> answers;
  for (const CudaGraph graph : {CudaGraph::on, CudaGraph::off}) {
    GenerationOptions options;
    options.decoding.max_new_tokens = 12;
    options.decoding.cuda_graph = graph;
    GenerationSession session(*model, &lora, 4);
    GenerationSession::Rows rows;
    for (const GeneratedText& text : session.generate(prompts, options)) rows.push_back(text.ids);
    answers.push_back(rows);
  }
  EXPECT_EQ(answers[0], answers[1]);
}

}  // namespace
}  // namespace shine::test

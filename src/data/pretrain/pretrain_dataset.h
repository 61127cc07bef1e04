#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/parallel.h"
#include "data/dataset.h"
#include "data/pretrain/pretrain_form.h"
#include "shine/text/tokenizer.h"

namespace shine {

/// Self-supervised pretraining (paper section 4). Texts are packed once into groups; a sample is one group. Context:
/// its texts in random order, joined by the format's text_end (<|endoftext|>), those to be completed without their last
/// words. Conversation: for each text, in another random order, user "<RECON>" or "<COMP>" and assistant the full text,
/// trained. Both are cut at their maximum lengths, unless over-long texts are split. Tasks, cuts and orders are drawn
/// anew for each (seed, epoch, index).
class PretrainDataset : public Dataset {
 public:
  /// Tokenises all texts for their lengths; the ids are made again for each sample.
  /// Throws ConfigError when there is no text, and as PretrainForm.
  PretrainDataset(std::vector<std::string> texts, std::shared_ptr<const Tokenizer> tokenizer,
                  const PretrainOptions& options, const Progress& progress = {});

  std::size_t size() const override { return groups_.size(); }
  Sample sample(std::int64_t epoch, std::size_t index) const override;

  /// Of the group without completion, whose contexts are shorter.
  std::int64_t tokens(std::size_t index) const override { return group_tokens_.at(index); }

  /// Of the texts, their ids and all options but `threads`.
  std::uint64_t fingerprint() const override { return fingerprint_; }

  const PretrainReport& report() const { return report_; }

  /// As PretrainForm::turn_overhead.
  std::int64_t turn_overhead() const { return form_.turn_overhead(); }

 private:
  void split_texts();
  void pack(const std::vector<std::int64_t>& lengths);

  std::vector<std::string> texts_;
  PretrainForm form_;
  std::vector<std::vector<std::size_t>> groups_;
  std::vector<std::int64_t> group_tokens_;
  PretrainReport report_;
  std::uint64_t fingerprint_ = 0;
};

}  // namespace shine

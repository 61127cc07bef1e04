#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/parallel.h"
#include "data/dataset.h"
#include "data/qa/qa_sample_form.h"

namespace shine {

/// Instruction fine-tuning, stages ift_mqa and ift_1qa (paper section 4), and question answering in stage backbone.
/// Labels: every assistant turn. multi_turn: each conversation of an item is a sample, or all its questions, in turn,
/// with their first answers. one_question: each question of questions_of(item) with its first answer is a sample.
///
/// Whether a sample is a reconstruction is drawn for each (seed, epoch, index): the answer is then the context, as cut
/// by its maximum length, cut at conversation_max_length.
class QaDataset : public Dataset {
 public:
  /// Tokenises all items for their lengths; the ids are made again for each sample. Throws ConfigError if no sample is
  /// left, and as QaSampleForm.
  QaDataset(std::vector<QaItem> items, std::shared_ptr<const Tokenizer> tokenizer, const QaOptions& options,
            const Progress& progress = {});

  std::size_t size() const override { return places_.size(); }
  Sample sample(std::int64_t epoch, std::size_t index) const override;

  /// Of the sample when it is not a reconstruction.
  std::int64_t tokens(std::size_t index) const override { return places_.at(index).piece.tokens; }

  /// Of the items, their ids and all options but `threads`.
  std::uint64_t fingerprint() const override { return fingerprint_; }

  const QaReport& report() const { return report_; }

 private:
  struct Thread {
    std::size_t context = 0;
    QaThread turns;
  };
  struct Place {
    std::size_t thread = 0;
    QaSampleForm::Piece piece;
  };

  void take(std::vector<QaItem>&& items);
  void place(const std::vector<std::int64_t>& contexts, const std::vector<QaSampleForm::Measure>& threads);

  QaSampleForm form_;
  std::vector<std::string> contexts_;
  std::vector<Thread> threads_;
  std::vector<Place> places_;
  QaReport report_;
  std::uint64_t fingerprint_ = 0;
};

}  // namespace shine

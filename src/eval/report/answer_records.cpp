#include "eval/report/answer_records.h"

#include <map>
#include <utility>

#include "eval/report/record_lines.h"

namespace shine {
namespace {

/// The one list of a record's keys: it drives writing and reading.
template <class Record, class V>
void visit_answer(Record& record, V&& v) {
  v.value("method", record.method);
  v.value("item", record.item);
  v.optional_value("conversation", record.conversation);
  v.value("turn", record.turn);
  v.value("source", record.source);
  v.value("question", record.question);
  v.value("answers", record.answers);
  v.value("raw", record.raw);
  v.value("answer", record.answer);
  v.score("f1", record.f1);
  v.score("exact", record.exact);
  v.value("prompt_hash", record.prompt_hash);
  v.value("decoding_hash", record.decoding_hash);
  v.value("prompt_tokens", record.prompt_tokens);
  v.value("new_tokens", record.new_tokens);
  v.value("stopped", record.stopped);
}

template <class Record, class V>
void visit_context(Record& record, V&& v) {
  v.value("method", record.method);
  v.value("item", record.item);
  v.value("context_tokens", record.context_tokens);
  v.value("context_tokens_cut", record.context_tokens_cut);
  v.value("turns_left_out", record.turns_left_out);
  v.optional_value("questions_over_long", record.questions_over_long);
  v.optional_value("sft_conversations_cut", record.sft_conversations_cut);
  v.value("prepare_seconds", record.prepare_seconds);
  v.value("answer_seconds", record.answer_seconds);
  v.value("peak_bytes", record.peak_bytes);
  v.optional_value("batch_contexts", record.batch_contexts);
  v.optional_value("sft_loss", record.sft_loss);
  v.optional_value("sft_loss_before", record.sft_loss_before);
}

/// Puts the lines together: the answers of a context wait for the line that says that they are complete.
class ResultsReader {
 public:
  void operator()(const std::string& kind, const nlohmann::json& line, const std::string& where) {
    if (kind == "answer") {
      read_answer(RecordReader(line, where));
    } else if (kind == "context") {
      read_context(RecordReader(line, where), where);
    } else {
      throw FormatError("'kind': expected answer or context", where);
    }
  }

  EvaluationResults results() && { return std::move(results_); }

 private:
  using Key = std::pair<Method, std::string>;

  struct Entry {
    std::vector<AnswerRecord> waiting;
    bool complete = false;
  };

  void read_answer(RecordReader reader) {
    AnswerRecord record;
    visit_answer(record, reader);
    entries_[{record.method, record.item}].waiting.push_back(std::move(record));
  }

  void read_context(RecordReader reader, const std::string& where) {
    ContextRecord record;
    visit_context(record, reader);
    Entry& entry = entries_[{record.method, record.item}];
    if (entry.complete) {
      throw FormatError(str("method ", enum_name(record.method), " has answered this item before"), where,
                        "item ids must differ, and a folder holds the results of one test");
    }
    entry.complete = true;
    take_answers(entry.waiting);
    results_.contexts.push_back(std::move(record));
  }

  /// Of an evaluation that was cut off and taken up again, the answers of the second time count.
  void take_answers(std::vector<AnswerRecord>& waiting) {
    std::map<std::pair<std::int64_t, std::int64_t>, AnswerRecord> by_turn;
    for (AnswerRecord& record : waiting) {
      by_turn.insert_or_assign({record.conversation, record.turn}, std::move(record));
    }
    for (auto& [turn, record] : by_turn) results_.answers.push_back(std::move(record));
    waiting.clear();
  }

  std::map<Key, Entry> entries_;
  EvaluationResults results_;
};

}  // namespace

std::string record_json(const AnswerRecord& record) {
  RecordWriter writer("answer");
  visit_answer(record, writer);
  return writer.text();
}

std::string record_json(const ContextRecord& record) {
  RecordWriter writer("context");
  visit_context(record, writer);
  return writer.text();
}

std::string results_text(const EvaluationResults& results) {
  std::map<std::pair<Method, std::string_view>, std::vector<const AnswerRecord*>> answers;
  for (const AnswerRecord& record : results.answers) answers[{record.method, record.item}].push_back(&record);
  std::string text;
  for (const ContextRecord& context : results.contexts) {
    for (const AnswerRecord* record : answers[{context.method, context.item}]) text += record_json(*record) + '\n';
    text += record_json(context) + '\n';
  }
  return text;
}

EvaluationResults read_results(const std::filesystem::path& file) {
  ResultsReader reader;
  read_record_lines(file, std::ref(reader));
  return std::move(reader).results();
}

EvaluationResults parse_results(std::string_view lines, const std::string& where) {
  ResultsReader reader;
  parse_record_lines(lines, where, std::ref(reader));
  return std::move(reader).results();
}

}  // namespace shine

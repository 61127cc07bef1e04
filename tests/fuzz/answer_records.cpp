#include "eval/report/answer_records.h"

#include "eval/qa/qa_metrics.h"
#include "eval/report/report.h"
#include "fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shine;
  const std::string_view input = fuzz::as_text(data, size);
  static fuzz::MemoryFile file;
  file.write(input);
  fuzz::accepts([&] {
    const EvaluationResults results = read_results(file.path());
    const std::string text = results_text(results);
    file.write(text);
    fuzz::require(results_text(read_results(file.path())) == text, "what was written is read back");
    ReportOptions options;
    options.bootstrap = 3;
    report_json(make_report(results, options));
  });
  const std::string answer = clean_answer(input);
  fuzz::require(answer.find('\n') == std::string::npos, "a clean answer is one line");
  fuzz::require(score_answer(answer, {answer}, ScoreForm::squad).f1 == 1.0, "an answer equals itself");
  return 0;
}

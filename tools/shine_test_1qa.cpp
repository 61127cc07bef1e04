// Tests question answering with every question alone, about contexts as they are or joined to a wanted length.
#include "evaluate_qa_command.h"

int main(int argc, char** argv) {
  return shine::evaluate_qa_command(
      "shine_test_1qa",
      "Asks every question alone, about its context or about several joined ones (evaluation.group_tokens), and prints "
      "F1, exact match, times and memory of each method.",
      shine::QaForm::one_question, argc, argv);
}

// Tests multi-turn question answering: every method, turn after turn.
#include "evaluate_qa_command.h"

int main(int argc, char** argv) {
  return shine::evaluate_qa_command(
      "shine_test_mqa",
      "Asks the questions about each context one after another, the model's own earlier answers in the history, and "
      "prints F1, times and memory of each method.",
      shine::QaForm::multi_turn, argc, argv);
}

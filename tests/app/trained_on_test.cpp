#include "app/evaluate/trained_on.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/paths.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

class TrainedOnTest : public testing::Test {
 protected:
  std::string file(const std::string& name) const { return (folder_.path() / name).string(); }
  std::string write(const std::string& name, const std::string& text) const {
    fs::create_directories(fs::path(file(name)).parent_path());
    std::ofstream(file(name)) << text;
    return file(name);
  }
  /// A checkpoint as far as its configuration goes.
  std::string weights(const std::string& name, const std::string& settings) const {
    write(name + "/trained.safetensors", "");
    write(name + "/state.json", "");
    write(name + "/config.yaml", "model: {path: m}\n" + settings);
    return file(name);
  }
  static std::string item(const std::string& context) {
    return R"({"context": ")" + context +
           R"(", "questions": [{"question": "Who?", "answers": ["He"]}]})"
           "\n";
  }

  TemporaryFolder folder_;
};

TEST_F(TrainedOnTest, CountsTheContextsOfEveryStage) {
  const std::string texts = write("texts.txt", "a document\n\nanother  one\n\na third\n");
  const std::string questions = write("train.jsonl", item("a note") + item("a second note"));
  const std::string first = weights("first", "data: {train: [" + texts + "], validation_share: 0}\n");
  const std::string second = weights("second", "stage: {name: ift_mqa, init_from: " + first + "}\ndata: {train: [" +
                                                   questions + "], validation_share: 0}\n");
  const TrainedOn found = find_trained_texts({"a note", "a new note", "another one", "a  second\nnote"}, second);
  EXPECT_EQ(found.notes, std::vector<std::string>{});
  EXPECT_EQ(found.warnings, (std::vector<std::string>{
                                "2 of 4 test contexts are training data of stage ift_mqa (" + second + "), from " +
                                    questions + ": the results say nothing about new ones (test on other files)",
                                "1 of 4 test contexts are training data of stage pretrain (" + first + "), from " +
                                    texts + ": the results say nothing about new ones (test on other files)"}));
  EXPECT_EQ(find_trained_texts({"a new note"}, second).warnings, std::vector<std::string>{});
  testing::internal::CaptureStderr();
  warn_about_trained_texts({"a note"}, second);
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_NE(text.find(" warning 1 of 1 test contexts are training data"), std::string::npos) << text;
}

TEST_F(TrainedOnTest, WhatWasHeldOutWasNotTrainedOn) {
  std::string lines;
  std::vector<std::string> contexts;
  for (int i = 0; i < 20; ++i) {
    contexts.push_back("note " + std::to_string(i));
    lines += item(contexts.back());
  }
  const std::string run = weights("run", "stage: {name: ift_1qa, from_scratch: true}\ndata: {train: [" +
                                             write("all.jsonl", lines) + "], validation_share: 0.25}\n");
  const TrainedOn found = find_trained_texts(contexts, run);
  ASSERT_EQ(found.warnings.size(), 1U);
  EXPECT_EQ(found.warnings[0].find("15 of 20 test contexts"), 0U) << found.warnings[0];
}

TEST_F(TrainedOnTest, FilesThatAreGoneAreNoted) {
  const std::string run = weights("run", "data: {train: [" + file("gone.txt") + "]}\n");
  const TrainedOn found = find_trained_texts({"a"}, run);
  EXPECT_EQ(found.warnings, std::vector<std::string>{});
  ASSERT_EQ(found.notes.size(), 1U);
  EXPECT_NE(found.notes[0].find("is not known: "), std::string::npos) << found.notes[0];
  EXPECT_NE(found.notes[0].find("gone.txt"), std::string::npos) << found.notes[0];
}

TEST_F(TrainedOnTest, OfWeightsWithoutAConfigurationNothingIsSaid) {
  write("published/trained.safetensors", "");
  const TrainedOn found = find_trained_texts({"a"}, file("published"));
  EXPECT_TRUE(found.warnings.empty() && found.notes.empty());
}

}  // namespace
}  // namespace shine::test

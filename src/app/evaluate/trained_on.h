#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace shine {

/// What comparing a test's texts with training data gave.
struct TrainedOn {
  std::vector<std::string> warnings;  ///< a line for each stage that trained on some of them
  std::vector<std::string> notes;     ///< a line for each stage whose data could not be compared
};

/// Compares the texts of a test (white space aside) with those that the weights were trained on: by the stage that made
/// them and by those it went on from, whose configurations name the files and how validation was split off. Files that
/// are gone, cannot be read or have more than a GiB together are not compared. Nothing is known of weights without a
/// configuration.
/// @param weights  a checkpoint or a run's folder
TrainedOn find_trained_texts(const std::vector<std::string>& texts, const std::filesystem::path& weights);

/// The same into the log.
void warn_about_trained_texts(const std::vector<std::string>& texts, const std::filesystem::path& weights);

}  // namespace shine

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <type_traits>
#include <vector>

#include "data/qa/qa_sample_form.h"
#include "data/store/token_store.h"
#include "io/files/mapped_file.h"

namespace shine {

/// The last bytes of a `.samples` file. Before them: a record {document, thread, first turn, end turn, tokens} (uint32
/// each) of each sample.
struct SampleFooter {
  std::array<char, 8> magic{};
  std::uint32_t version = 0;
  std::uint32_t reserved = 0;
  std::uint64_t key = 0;        ///< sample_key
  std::uint64_t documents = 0;  ///< of the store
  std::uint64_t left_out = 0;   ///< documents held out, or with a context that is
  std::uint64_t samples = 0;    ///< this and the following as in QaReport
  std::uint64_t contexts_over_long = 0, conversations_over_long = 0;
  std::uint64_t dropped = 0, split_off = 0;
  std::uint64_t tokens_cut = 0, tokens = 0, tokens_dropped = 0;
  std::uint64_t checksum = 0;  ///< of the bytes before it
};
static_assert(sizeof(SampleFooter) == 112 && std::is_trivially_copyable_v<SampleFooter>);

inline constexpr std::array<char, 8> kSampleMagic{'S', 'H', 'I', 'N', 'E', 'S', 'M', 'P'};
inline constexpr std::uint32_t kSampleVersion = 1;

/// The samples of a store of questions, as QaSampleForm places them, in a mapped file: opening it reads a page or two.
class SampleIndex {
 public:
  /// Throws FormatError where the file is damaged or of another key.
  SampleIndex(std::unique_ptr<const MappedFile> file, std::uint64_t key);

  std::size_t size() const { return static_cast<std::size_t>(footer_.samples); }

  /// Turns [first, end) of a thread of a document.
  struct Place {
    std::uint32_t document = 0, thread = 0, first = 0, end = 0;
  };

  /// @param sample  below size()
  /// Throws FormatError where the file is damaged there.
  Place place(std::size_t sample) const;
  std::int64_t tokens(std::size_t sample) const;

  QaReport report() const;
  std::size_t left_out() const { return static_cast<std::size_t>(footer_.left_out); }

 private:
  struct Record {
    Place place;
    std::uint32_t tokens = 0;
  };
  Record record(std::size_t sample) const;
  [[noreturn]] void fail(std::string_view what) const;

  std::unique_ptr<const MappedFile> file_;
  SampleFooter footer_;
};

/// What the samples of a store depend on.
/// @param held_out  context_hash of contexts that are not trained on
std::uint64_t sample_key(const TokenStore& store, const QaSampleForm& form, const std::vector<std::uint64_t>& held_out);

/// Where a store keeps the samples of a key.
std::filesystem::path sample_path(const TokenStore& store, std::uint64_t key);

/// The samples of a store: those that were made for the same key, or, the first time, made now in one pass, which
/// tokenises all conversations on all threads, and kept in its folder. Other processes that want them meanwhile wait.
/// Throws ConfigError where no sample is left, IoError where the folder cannot be written, and as SampleIndex.
SampleIndex open_samples(const TokenStore& store, const QaSampleForm& form, const std::vector<std::uint64_t>& held_out);

}  // namespace shine

// cmake --install, and a project of its own that finds, compiles against and runs with what was installed.
#include <gtest/gtest.h>

#include "integration/run_program.h"

namespace shine::test {
namespace {

namespace fs = std::filesystem;

/// A variable of the build that made this test, or nothing.
std::string cached(const std::string& name) {
  for (const std::string& line : lines_of(read_bytes(bin_dir().parent_path() / "CMakeCache.txt"))) {
    if (line.starts_with(name + ":")) return line.substr(line.find('=') + 1);
  }
  return "";
}

class Install : public testing::Test {
 protected:
  void SetUp() override {
    const Outcome outcome =
        run_command({"cmake", "--install", bin_dir().parent_path().string(), "--prefix", prefix().string()});
    ASSERT_EQ(outcome.status, 0) << outcome.out << outcome.err;
  }
  fs::path prefix() const { return folder_.path() / "prefix"; }

  TemporaryFolder folder_;
};

TEST_F(Install, ProgramsRunFromThePrefix) {
  for (const char* name : {"shine_train", "shine_verify", "shine_tokenize", "shine_prepare"}) {
    const Outcome outcome = run_command({(prefix() / "bin" / name).string(), "--version"});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    EXPECT_EQ(outcome.out.find(std::string(name) + " 0."), 0U) << outcome.out;
    const Outcome linked = run_command({"ldd", (prefix() / "bin" / name).string()});
    EXPECT_EQ(linked.out.find(bin_dir().parent_path().string() + "/"), std::string::npos) << linked.out;
  }
}

TEST_F(Install, TheFilesNameNoFolderOfTheSources) {
  const std::string source = source_dir().string() + "/";
  const std::string libraries = source + ".venv/";
  for (const auto& entry : fs::recursive_directory_iterator(prefix() / "lib" / "cmake")) {
    if (!entry.is_regular_file()) continue;
    const std::string text = read_bytes(entry.path());
    for (std::size_t at = text.find(source); at != std::string::npos; at = text.find(source, at + 1)) {
      EXPECT_EQ(text.compare(at, libraries.size(), libraries), 0) << entry.path() << ": " << text.substr(at, 120);
    }
  }
}

TEST_F(Install, ExportsTheApiAlone) {
  const Outcome listed =
      run_command({"nm", "--dynamic", "--demangle", "--defined-only", (prefix() / "lib" / "libshine.so").string()});
  ASSERT_EQ(listed.status, 0) << listed.err;
  for (const char* name :
       {" shine::load_decoder(", " shine::Hypernetwork::generate(", " typeinfo for shine::IoError"}) {
    EXPECT_NE(listed.out.find(name), std::string::npos) << name;
  }
  for (const char* name : {" shine::FlatParameters::", " shine::lora_from_vector("}) {
    EXPECT_EQ(listed.out.find(name), std::string::npos) << listed.out.substr(listed.out.find(name), 200);
  }
}

TEST_F(Install, AProjectTrainsAndGeneratesALora) {
  const fs::path build = folder_.path() / "build";
  std::vector<std::string> configure{"cmake",
                                     "-S",
                                     (source_dir() / "tests" / "consumer").string(),
                                     "-B",
                                     build.string(),
                                     "-DCMAKE_PREFIX_PATH=" + prefix().string(),
                                     "-DCMAKE_BUILD_TYPE=Debug"};
  for (const char* name : {"CMAKE_CXX_COMPILER", "CMAKE_GENERATOR", "TORCH_CUDA_ARCH_LIST"}) {
    if (!cached(name).empty()) configure.push_back(std::string("-D") + name + "=" + cached(name));
  }
  const Outcome configured = run_command(configure);
  ASSERT_EQ(configured.status, 0) << configured.out << configured.err;
  const Outcome built = run_command({"cmake", "--build", build.string(), "--verbose"});
  ASSERT_EQ(built.status, 0) << built.out << built.err;
  EXPECT_EQ(built.out.find(source_dir().string() + "/include"), std::string::npos) << "compiled with the source folder";
  const Outcome ran = run_command({(build / "consumer").string(), folder_.path().string()});
  ASSERT_EQ(ran.status, 0) << ran.out << ran.err;
  const std::vector<std::string> lines = lines_of(ran.out);
  ASSERT_EQ(lines.size(), 4U) << ran.out;
  EXPECT_TRUE(lines[1].starts_with("loss ")) << lines[1];
  EXPECT_EQ(lines[2], "LoRA: 2 layers, 1 adapter, rank 2, A of q [1, 32, 2]");
  EXPECT_NE(lines[3].find("none.json"), std::string::npos) << lines[3];
  EXPECT_TRUE(fs::exists(folder_.path() / "lora.safetensors"));
}

}  // namespace
}  // namespace shine::test

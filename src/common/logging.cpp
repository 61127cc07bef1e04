// The only unit that includes spdlog: its fmt clashes with the one in torch's include folder.
#include "shine/common/logging.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <mutex>
#include <set>

#include "shine/common/error.h"

namespace shine {
namespace {

spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    spdlog::logger made("shine", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made.set_pattern("%H:%M:%S %^%l%$ %v");
    return made;
  }();
  return instance;
}

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warning: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
  }
  return spdlog::level::info;
}

/// The first sink is the console.
std::shared_ptr<spdlog::sinks::sink>& console() {
  return logger().sinks().front();
}

}  // namespace

void set_log_level(LogLevel level) {
  logger().set_level(to_spdlog(level));
}

void set_console_level(LogLevel level) {
  console()->set_level(to_spdlog(level));
}

void add_log_file(const std::filesystem::path& path) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
    sink->set_pattern("%Y-%m-%d %H:%M:%S %l %v");
    logger().sinks().push_back(std::move(sink));
    logger().flush_on(spdlog::level::info);
  } catch (const spdlog::spdlog_ex& error) {
    throw IoError(error.what(), path.string(), "check that the folder exists and is writable");
  }
}

void log(LogLevel level, std::string_view message) {
  logger().log(to_spdlog(level), message);
}

void log_once(LogLevel level, const std::string& message) {
  static std::mutex mutex;
  static std::set<std::string> said;
  const std::scoped_lock lock(mutex);
  if (said.insert(message).second) log(level, message);
}

void log_to_files(LogLevel level, std::string_view message) {
  const spdlog::details::log_msg line(logger().name(), to_spdlog(level), message);
  for (const auto& sink : logger().sinks()) {
    if (sink == console()) continue;
    try {
      sink->log(line);
      sink->flush();
    } catch (const spdlog::spdlog_ex&) {
      continue;
    }
  }
}

}  // namespace shine

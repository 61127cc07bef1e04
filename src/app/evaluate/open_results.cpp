#include "app/evaluate/open_results.h"

#include "checkpoint/run_folder.h"
#include "distributed/exchange.h"
#include "shine/app/experiment_config.h"
#include "shine/common/logging.h"

namespace shine {

std::unique_ptr<ResultsFolder> open_results(ProcessGroup& group, const std::filesystem::path& path,
                                            const EvaluationIdentity& identity, const std::string& results_name,
                                            bool resume) {
  require_same_work(group, experiment_yaml(identity.config), identity.fingerprints);
  std::unique_ptr<ResultsFolder> folder;
  if (group.is_first()) folder = std::make_unique<ResultsFolder>(path, identity, results_name, resume);
  group.barrier();  // the folder is there
  add_log_file(RunFolder{path}.log(group.rank()));
  return folder;
}

}  // namespace shine

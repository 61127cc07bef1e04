// Stub of mpi_group.cpp for builds without MPI.
#include "distributed/backends.h"
#include "shine/common/error.h"

namespace shine {

std::unique_ptr<ProcessGroup> make_mpi_group(const Launch& launch, const GroupOptions&) {
  throw UnsupportedError("this program was built without MPI, which ranks on CPUs need", rank_label(launch),
                         "install OpenMPI (libopenmpi-dev, openmpi-bin) and build again, or start one process");
}

}  // namespace shine

#include <pwd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <thread>

#include "ctl/command.h"
#include "ctl/grpc_client.h"
#include "ctl/local_cluster.h"

namespace {

using broadside::ctl::Env;

// The signal handler's own: how often the user has asked to stop.
std::atomic<int> g_interrupts{0};
static_assert(std::atomic<int>::is_always_lock_free);

void OnSignal(int) {
  // Twice asks the command to leave at once; three times does not ask.
  if (++g_interrupts >= 3) _exit(130);
}

void HandleSignals() {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaction(number, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

std::optional<std::string> Variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::string UserAtHost() {
  char host[256] = "localhost";
  gethostname(host, sizeof(host) - 1);
  const passwd* entry = getpwuid(geteuid());
  return std::string(entry != nullptr ? entry->pw_name : "unknown") + "@" + host;
}

/// UTF-8 unless the locale names another encoding.
bool WantsUnicode() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string value = Variable(name).value_or("");
    if (value.empty()) continue;
    return value.find("UTF-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return true;
}

int Width() {
  winsize size = {};
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
      return std::clamp<int>(size.ws_col, 40, 160);
    }
  }
  return 100;
}

std::string ProgramDirectory() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

}  // namespace

int main(int argc, char** argv) {
  HandleSignals();
  Env env;
  env.in = &std::cin;
  env.out = &std::cout;
  env.err = &std::cerr;
  env.out_terminal = isatty(STDOUT_FILENO) == 1;
  env.err_terminal = isatty(STDERR_FILENO) == 1 && Variable("TERM").value_or("dumb") != "dumb";
  env.colour = Variable("NO_COLOR").value_or("").empty() && Variable("TERM").value_or("") != "dumb";
  env.unicode = WantsUnicode();
  env.width = Width();
  env.user = UserAtHost();
  env.variable = Variable;
  env.connect = [](const std::string& address)
      -> broadside::StatusOr<std::unique_ptr<broadside::ctl::OperatorClient>> {
    return broadside::ctl::MakeGrpcClient(address);
  };
  env.start_cluster = [](const broadside::ctl::ClusterOptions& options) {
    return broadside::ctl::StartLocalCluster(
        options, {.directory = ProgramDirectory(),
                  .cores = std::max(1U, std::thread::hardware_concurrency())});
  };
  env.interrupts = [] { return g_interrupts.load(); };
  env.sleep = [](broadside::Nanos pause) { std::this_thread::sleep_for(pause); };
  const int code = broadside::ctl::Main({argv + 1, argv + argc}, env);
  std::cout.flush();
  if (!std::cout) {
    // A reader that has seen enough (| head) is no news.
    struct stat status = {};
    const bool pipe = fstat(STDOUT_FILENO, &status) == 0 && S_ISFIFO(status.st_mode);
    if (!pipe) std::cerr << "ctl: cannot write the answer to stdout\n";
    return code == 0 ? 3 : code;
  }
  return code;
}

#include "ctl/plan_input.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <istream>
#include <iterator>
#include <system_error>

#include "common/plan/vegeta.h"

namespace broadside::ctl {
namespace {

namespace fs = std::filesystem;

constexpr uintmax_t kLargestFile = 256U << 20U;

/// Paths as a plan writes them, seen from the plan's folder.
class Folder {
 public:
  explicit Folder(const std::string& plan_file)
      : base_(plan_file.empty() || plan_file == "-" ? fs::path()
                                                    : fs::path(plan_file).parent_path()) {}

  std::string Resolve(const std::string& path) const { return (base_ / path).string(); }

  StatusOr<std::vector<std::string>> List(const std::string& directory) const {
    std::vector<std::string> names;
    std::error_code error;
    fs::directory_iterator it(Resolve(directory), error);
    for (; !error && it != fs::directory_iterator(); it.increment(error)) {
      std::error_code ignored;
      if (it->is_regular_file(ignored)) names.push_back(it->path().filename().string());
    }
    if (error) return ErrnoStatus(error.value(), directory);
    std::sort(names.begin(), names.end());
    return names;
  }

 private:
  fs::path base_;
};

std::string HostPort(const std::string& host, uint16_t port) {
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

StatusOr<std::vector<std::string>> Endpoints(const LoadedPlan& loaded) {
  std::vector<std::string> out;
  const auto add = [&out](const std::string& endpoint) {
    if (std::find(out.begin(), out.end(), endpoint) == out.end()) out.push_back(endpoint);
  };
  for (const plan::Target& target : loaded.plan.targets) {
    if (!target.connect_to.empty()) {
      add(target.connect_to);
      continue;
    }
    if (target.endpoint) add(HostPort(target.endpoint->host, target.endpoint->port));
    if (!target.vegeta) continue;
    const auto hash = loaded.plan.files.find(target.vegeta->file);
    const auto content =
        hash == loaded.plan.files.end() ? loaded.files.end() : loaded.files.find(hash->second);
    if (content == loaded.files.end()) continue;
    BROADSIDE_ASSIGN_OR_RETURN(
        const std::vector<plan::VegetaTarget> lines,
        plan::ParseVegetaTargets(content->second, target.vegeta->format, target.vegeta->file));
    for (const plan::VegetaTarget& line : lines) add(HostPort(line.url.host, line.url.port));
  }
  return out;
}

bool HasOneLiner(const plan::OneLiner& flags) {
  return !flags.target.empty() || !flags.rate.empty() || !flags.duration.empty() ||
         !flags.targets_file.empty() || !flags.method.empty() || !flags.body_file.empty() ||
         !flags.headers.empty();
}

StatusOr<plan::Plan> Parse(const Env& env, const PlanInput& input,
                           const plan::ParseOptions& options) {
  if (HasOneLiner(input.one_liner)) {
    if (!input.file.empty()) {
      return InvalidArgument(
          "a plan file and --target, --rate … cannot both be given. To change a "
          "value of " +
          input.file + ", use --set.");
    }
    return plan::PlanFromFlags(input.one_liner, options);
  }
  if (input.file.empty()) {
    return InvalidArgument(
        "nothing to run. Give a plan file, or --target URL --rate R --duration D. See ctl run "
        "--help.");
  }
  if (input.file == "-") {
    const std::string text{std::istreambuf_iterator<char>(*env.in), {}};
    return plan::ParsePlan(text, options);
  }
  BROADSIDE_ASSIGN_OR_RETURN(const std::string text, ReadWholeFile(input.file));
  return plan::ParsePlan(text, options);
}

}  // namespace

StatusOr<std::string> ReadWholeFile(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) return ErrnoStatus(error ? error.value() : ENOENT, path);
  if (fs::is_directory(status)) return InvalidArgument(path + ": is a directory, not a file");
  if (fs::is_regular_file(status) && fs::file_size(path, error) > kLargestFile) {
    return InvalidArgument(path + ": is larger than 256 MiB");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return ErrnoStatus(errno, path);
  std::string content{std::istreambuf_iterator<char>(file), {}};
  if (file.bad()) return ErrnoStatus(errno, path);
  return content;
}

StatusOr<LoadedPlan> LoadPlan(const Env& env, const PlanInput& input) {
  const Folder folder(input.file);
  const auto read = [&folder](const std::string& path) -> StatusOr<std::string> {
    return ReadWholeFile(folder.Resolve(path));
  };
  plan::ParseOptions options;
  options.file_name = input.file == "-" ? "stdin" : input.file.empty() ? "ctl run" : input.file;
  options.overrides = input.overrides;
  options.send_secrets = input.send_secrets;
  options.environment = [&env](const std::string& name, std::string& value) {
    const std::optional<std::string> found = env.variable(name);
    if (found) value = *found;
    return found.has_value();
  };
  options.read_file = read;
  LoadedPlan loaded;
  BROADSIDE_ASSIGN_OR_RETURN(loaded.plan, Parse(env, input, options));
  BROADSIDE_ASSIGN_OR_RETURN(
      loaded.files, plan::CollectFiles(loaded.plan, read, [&folder](const std::string& directory) {
        return folder.List(directory);
      }));
  BROADSIDE_RETURN_IF_ERROR(plan::CheckFiles(loaded.plan, read));
  BROADSIDE_ASSIGN_OR_RETURN(loaded.endpoints, Endpoints(loaded));
  loaded.canonical_json = plan::CanonicalJson(loaded.plan);
  return loaded;
}

}  // namespace broadside::ctl

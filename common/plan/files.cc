// The files that a plan names: collecting them, and the checks that need their content.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <type_traits>

#include "absl/strings/str_format.h"
#include "common/base/digest.h"
#include "common/base/int128.h"
#include "common/plan/model_config.h"
#include "common/plan/parse.h"
#include "common/plan/reader.h"
#include "common/plan/resolve.h"
#include "common/plan/values.h"
#include "common/plan/vegeta.h"

namespace broadside::plan {
namespace {

using ReadFile = std::function<StatusOr<std::string>(const std::string& path)>;
using ListFiles = std::function<StatusOr<std::vector<std::string>>(const std::string& directory)>;

constexpr size_t kMaxFileBytes = size_t{256} << 20;
constexpr size_t kMaxTotalBytes = size_t{512} << 20;
constexpr size_t kMaxDirectoryFiles = 1000;

std::string JoinPath(const std::string& directory, const std::string& file) {
  return directory.ends_with("/") ? directory + file : directory + "/" + file;
}

/// The instant by which a replay's last arrival is past, in whole intervals.
StatusOr<Nanos> ReplayLength(const ReplayLoad& load, const std::vector<int64_t>& rows,
                             Nanos interval) {
  // due = ceil(t ÷ (num ÷ den)); an arrival due at the very end would be outside.
  const int128 due =
      (static_cast<int128>(rows.back()) * load.speed_den + load.speed_num - 1) / load.speed_num;
  const int128 intervals = due / interval.count() + 1;
  if (intervals * interval.count() > rate::kMaxSegmentLength.count())
    return InvalidArgument(load.file + ": at this speed the replay lasts longer than 24h; raise " +
                           "speed:, or cut it by duration:.");
  return Nanos(static_cast<int64_t>(intervals) * interval.count());
}

class Collector {
 public:
  Collector(Plan& plan, const ReadFile& read, const ListFiles& list)
      : plan_(plan), read_(read), list_(list) {}

  StatusOr<std::map<std::string, std::string>> Run() {
    plan_.files.clear();
    for (Target& target : plan_.targets) {
      owner_ = "target " + Quoted(target.name);
      BROADSIDE_RETURN_IF_ERROR(TargetFiles(target));
    }
    for (Phase& phase : plan_.phases) {
      auto* replay = std::get_if<ReplayLoad>(&phase.load);
      if (replay == nullptr) continue;
      owner_ = "phase " + Quoted(phase.name);
      BROADSIDE_RETURN_IF_ERROR(Take(replay->file));
      if (phase.duration > Nanos(0)) continue;
      BROADSIDE_ASSIGN_OR_RETURN(const std::vector<int64_t> rows,
                                 ReadReplay(ContentOf(replay->file), replay->format, replay->file));
      BROADSIDE_ASSIGN_OR_RETURN(phase.duration, ReplayLength(*replay, rows, plan_.interval));
    }
    return std::move(contents_);
  }

 private:
  Status TargetFiles(Target& target) {
    if (auto* automatic = std::get_if<AutoInput>(&target.input))
      if (!automatic->config.empty()) BROADSIDE_RETURN_IF_ERROR(Take(automatic->config));
    if (auto* file = std::get_if<FileInput>(&target.input))
      BROADSIDE_RETURN_IF_ERROR(Take(file->file));
    if (auto* payload = std::get_if<PayloadInput>(&target.input))
      BROADSIDE_RETURN_IF_ERROR(Take(payload->file));
    if (auto* prompts = std::get_if<PromptsInput>(&target.input))
      BROADSIDE_RETURN_IF_ERROR(Take(prompts->file));
    if (auto* directory = std::get_if<DirectoryInput>(&target.input))
      BROADSIDE_RETURN_IF_ERROR(TakeDirectory(*directory));
    if (target.breaker && !target.breaker->rule_file.empty())
      BROADSIDE_RETURN_IF_ERROR(Take(target.breaker->rule_file));
    if (!target.vegeta) return {};
    BROADSIDE_RETURN_IF_ERROR(Take(target.vegeta->file));
    BROADSIDE_ASSIGN_OR_RETURN(const std::vector<VegetaTarget> lines,
                               ParseVegetaTargets(ContentOf(target.vegeta->file),
                                                  target.vegeta->format, target.vegeta->file));
    for (const VegetaTarget& line : lines) {
      if (line.body_file.empty()) continue;
      const Status taken = Take(line.body_file);
      if (!taken.ok())
        return Status(taken.code(), absl::StrFormat("%s:%d: %s", target.vegeta->file,
                                                    line.body_line, MessageOf(taken)));
    }
    return {};
  }

  Status TakeDirectory(DirectoryInput& input) {
    auto files = list_(input.directory);
    if (!files.ok())
      return Status(files.status().code(),
                    MessageOf(files.status()) + " (named by " + owner_ + ")");
    std::sort(files->begin(), files->end());
    if (files->empty() || files->size() > kMaxDirectoryFiles)
      return InvalidArgument(absl::StrFormat("%s: %d files; allowed are 1 … %d (named by %s)",
                                             input.directory, files->size(), kMaxDirectoryFiles,
                                             owner_));
    input.files = *std::move(files);
    for (const std::string& file : input.files)
      BROADSIDE_RETURN_IF_ERROR(Take(JoinPath(input.directory, file)));
    return {};
  }

  Status Take(const std::string& path) {
    if (plan_.files.contains(path)) return {};
    auto content = read_(path);
    if (!content.ok())
      return Status(content.status().code(),
                    MessageOf(content.status()) + " (named by " + owner_ + ")");
    total_ += content->size();
    if (content->size() > kMaxFileBytes || total_ > kMaxTotalBytes)
      return InvalidArgument(absl::StrFormat(
          "%s: %d bytes; a file has at most 256 MiB and all together 512 MiB (named by %s)", path,
          content->size(), owner_));
    const std::string hash = Sha256Hex(*content);
    plan_.files[path] = hash;
    contents_.emplace(hash, *std::move(content));
    return {};
  }

  const std::string& ContentOf(const std::string& path) {
    return contents_.at(plan_.files.at(path));
  }

  Plan& plan_;
  const ReadFile& read_;
  const ListFiles& list_;
  std::string owner_;
  size_t total_ = 0;
  std::map<std::string, std::string> contents_;
};

/// FILE:LINE:COLUMN of a byte.
std::string PlaceOf(std::string_view text, const std::string& file, size_t byte) {
  const std::string_view before = text.substr(0, std::min(byte, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t start = before.rfind('\n');
  const size_t column = before.size() - (start == std::string_view::npos ? 0 : start + 1);
  return absl::StrFormat("%s:%d:%d: ", file, line, std::max<size_t>(column, 1));
}

/// nlohmann-json throws where a position is wanted; caught here.
StatusOr<nlohmann::json> ParseJson(std::string_view text, const std::string& file) {
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::parse_error& error) {
    return InvalidArgument(PlaceOf(text, file, error.byte) + "this is not JSON.");
  }
}

Status CheckAuto(const AutoInput& input, const ReadFile& read) {
  if (input.config.empty()) return {};
  BROADSIDE_ASSIGN_OR_RETURN(const std::string text, read(input.config));
  BROADSIDE_ASSIGN_OR_RETURN(const ModelConfig config, ParseModelConfigText(text, input.config));
  if (config.inputs.empty())
    return InvalidArgument(
        input.config +
        ":1: it describes no input. Write input [ { name: … data_type: … dims: [ … ] } ].");
  std::vector<std::string> names;
  for (const TensorSpec& tensor : config.inputs) {
    names.push_back(tensor.name);
    const auto shape = input.shapes.find(tensor.name);
    const bool open = std::find(tensor.dims.begin(), tensor.dims.end(), -1) != tensor.dims.end();
    if (open && shape == input.shapes.end() && !tensor.optional)
      return InvalidArgument(input.config + ": input " + Quoted(tensor.name) +
                             " has dims of -1; write auto: {shapes: {" + tensor.name + ": […]}}.");
    if (shape == input.shapes.end()) continue;
    bool fits = shape->second.size() == tensor.dims.size();
    for (size_t i = 0; fits && i < tensor.dims.size(); ++i)
      fits = tensor.dims[i] == -1 || tensor.dims[i] == shape->second[i];
    if (!fits)
      return InvalidArgument(input.config + ": the shape that the plan gives input " +
                             Quoted(tensor.name) + " does not fit its dims.");
  }
  for (const auto& [name, shape] : input.shapes)
    if (std::find(names.begin(), names.end(), name) == names.end())
      return InvalidArgument(input.config + ": the plan has a shape for " + Quoted(name) +
                             ", which is no input." +
                             DidYouMean(name, names, " Inputs are " + JoinOr(names) + "."));
  if (input.batch > 1 && config.max_batch_size < static_cast<int64_t>(input.batch))
    return InvalidArgument(absl::StrFormat("%s: batch: %d is more than max_batch_size (%d).",
                                           input.config, input.batch, config.max_batch_size));
  return {};
}

Status CheckVegeta(const VegetaFile& vegeta, const ReadFile& read) {
  BROADSIDE_ASSIGN_OR_RETURN(const std::string text, read(vegeta.file));
  BROADSIDE_ASSIGN_OR_RETURN(const std::vector<VegetaTarget> lines,
                             ParseVegetaTargets(text, vegeta.format, vegeta.file));
  std::set<std::string> bodies;
  for (const VegetaTarget& line : lines) {
    if (!IsBuilt(line.url.scheme))
      return InvalidArgument(
          absl::StrFormat("%s:%d: %s", vegeta.file, line.line, NotBuiltMessage(line.url.scheme)));
    if (line.body_file.empty() || !bodies.insert(line.body_file).second) continue;
    const auto body = read(line.body_file);
    if (!body.ok())
      return Status(body.status().code(), absl::StrFormat("%s:%d: %s", vegeta.file, line.body_line,
                                                          MessageOf(body.status())));
  }
  return {};
}

Status CheckTarget(const Target& target, const ReadFile& read) {
  if (const auto* automatic = std::get_if<AutoInput>(&target.input))
    return CheckAuto(*automatic, read);
  if (target.vegeta) return CheckVegeta(*target.vegeta, read);
  if (const auto* file = std::get_if<FileInput>(&target.input)) {
    BROADSIDE_ASSIGN_OR_RETURN(const std::string text, read(file->file));
    BROADSIDE_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(text, file->file));
    const auto data = json.find("data");
    if (!json.is_object() || data == json.end() || !data->is_array() || data->empty())
      return InvalidArgument(file->file +
                             ":1:1: expected {\"data\": [{INPUT: …}, …]}, "
                             "perf_analyzer's form.");
  }
  // An http payload may be anything; a KServe one goes out as a JSON request.
  const auto* payload = std::get_if<PayloadInput>(&target.input);
  if (payload != nullptr && target.protocol == Protocol::kKserveHttp) {
    BROADSIDE_ASSIGN_OR_RETURN(const std::string text, read(payload->file));
    BROADSIDE_ASSIGN_OR_RETURN(const nlohmann::json json, ParseJson(text, payload->file));
    if (!json.is_object() || !json.contains("inputs") || !json["inputs"].is_array())
      return InvalidArgument(payload->file +
                             ":1:1: expected a KServe request, {\"inputs\": [{\"name\": …, "
                             "\"shape\": …, \"datatype\": …, \"data\": …}]}.");
  }
  return {};
}

}  // namespace

StatusOr<std::map<std::string, std::string>> CollectFiles(Plan& plan, const ReadFile& read,
                                                          const ListFiles& list) {
  return Collector(plan, read, list).Run();
}

Status CheckFiles(const Plan& plan, const ReadFile& read) {
  for (const Target& target : plan.targets) BROADSIDE_RETURN_IF_ERROR(CheckTarget(target, read));
  for (const Phase& phase : plan.phases) {
    const auto* replay = std::get_if<ReplayLoad>(&phase.load);
    if (replay == nullptr) continue;
    BROADSIDE_ASSIGN_OR_RETURN(const std::string text, read(replay->file));
    BROADSIDE_ASSIGN_OR_RETURN(const std::vector<int64_t> rows,
                               ReadReplay(text, replay->format, replay->file));
    if (phase.duration == Nanos(0)) {
      const auto length = ReplayLength(*replay, rows, plan.interval);
      if (!length.ok()) return length.status();
    }
  }
  return {};
}

}  // namespace broadside::plan

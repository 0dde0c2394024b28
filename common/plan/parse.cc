// The plan's top level.
#include "common/plan/parse.h"

#include <algorithm>
#include <charconv>

#include "absl/strings/str_format.h"
#include "common/plan/reader.h"
#include "common/plan/values.h"

namespace broadside::plan {
namespace {

/// "dir/resnet50.yaml" → "resnet50".
std::string NameOfFile(std::string_view file) {
  if (const size_t slash = file.rfind('/'); slash != std::string_view::npos)
    file.remove_prefix(slash + 1);
  for (const std::string_view ending : {".yaml", ".yml", ".json"})
    if (file.size() > ending.size() && file.ends_with(ending)) file.remove_suffix(ending.size());
  return file.empty() || file == "-" ? "plan" : std::string(file);
}

Status ReadName(const Context& context, const MapReader& map, Plan& plan) {
  plan.name = NameOfFile(context.options.file_name);
  BROADSIDE_RETURN_IF_ERROR(map.String("name", plan.name));
  const bool fits = !plan.name.empty() && plan.name.size() <= 100 && yaml::IsText(plan.name) &&
                    plan.name.find_first_of("\r\n\t") == std::string::npos;
  if (!fits && map.Has("name"))
    return context.Error(map.Get("name")->mark,
                         "name: " + Quoted(plan.name) + " is not one line of 1 … 100 bytes.");
  if (!fits) plan.name = "plan";
  return {};
}

Status ReadSeed(const Context& context, const MapReader& map, Plan& plan) {
  const yaml::Node* node = map.Get("seed");
  if (node == nullptr) return {};
  uint64_t seed = 0;
  const char* const end = node->text.data() + node->text.size();
  const auto [at, error] = std::from_chars(node->text.data(), end, seed);
  if (node->kind != yaml::Node::Kind::kScalar || error != std::errc() || at != end)
    return context.Error(
        node->mark, "seed: expected a whole number below 2^64, found " + Describe(*node) + ".");
  plan.seed = seed;
  return {};
}

Status ReadTagsAndFiles(const Context& context, const MapReader& map, Plan& plan) {
  BROADSIDE_RETURN_IF_ERROR(map.Strings("tags", plan.tags));
  if (plan.tags.size() > 64) return context.Error(map.KeyMark("tags"), "tags: at most 64.");
  for (const auto& [key, value] : plan.tags)
    if (key.empty() || key.size() > 100 || value.size() > 500)
      return context.Error(
          map.KeyMark("tags"),
          "tags: " + Quoted(key) + " is too long; a key has 1 … 100 bytes, a value at most 500.");
  BROADSIDE_RETURN_IF_ERROR(map.Strings("validity", plan.validity));
  for (const auto& [key, value] : plan.validity) {
    const bool word =
        key.find_first_not_of("abcdefghijklmnopqrstuvwxyz_0123456789") == std::string::npos;
    std::string_view rest = value;
    const bool number = TakeDecimal(rest) && rest.empty();
    if (!word || key.empty() ||
        !(number || ParseDuration(value).ok() || ParsePercent(value).ok() || value == "off"))
      return context.Error(map.Get("validity")->Find(key)->value.mark,
                           "validity: " + key + ": " + Quoted(value) +
                               " is not a threshold. Write 10ms, 1%, 0.9 or off.");
  }
  BROADSIDE_RETURN_IF_ERROR(map.Strings("files", plan.files));
  for (const auto& [path, hash] : plan.files)
    if (hash.size() != 64 || hash.find_first_not_of("0123456789abcdef") != std::string::npos)
      return context.Error(map.Get("files")->Find(path)->value.mark,
                           "files: " + Quoted(hash) + " is not a SHA-256 in lower-case hex.");
  return {};
}

Status ReadRest(Context& context, const MapReader& map, Plan& plan) {
  if (const yaml::Node* node = map.Get("limits"))
    BROADSIDE_RETURN_IF_ERROR(ReadLimits(context, *node, plan.limits));
  BROADSIDE_RETURN_IF_ERROR(map.Word<Backlog>(
      "backlog", {{"send-late", Backlog::kSendLate}, {"skip", Backlog::kSkip}}, plan.backlog));
  if (const yaml::Node* node = map.Get("slo")) {
    BROADSIDE_ASSIGN_OR_RETURN(plan.slo, ReadRules(context, "slo", *node));
  }
  if (const yaml::Node* node = map.Get("guards")) {
    BROADSIDE_ASSIGN_OR_RETURN(plan.guards, ReadRules(context, "guards", *node));
  }
  if (const yaml::Node* node = map.Get("observe")) {
    BROADSIDE_ASSIGN_OR_RETURN(plan.observe, ReadObservers(context, *node));
    if (!plan.observe.empty()) context.Uses("observe", map.KeyMark("observe"));
  }
  if (const yaml::Node* node = map.Get("agents"))
    BROADSIDE_RETURN_IF_ERROR(ReadAgents(context, *node, plan.agents));
  if (const yaml::Node* node = map.Get("record")) {
    BROADSIDE_RETURN_IF_ERROR(ReadRecord(context, *node, plan.record));
    if (plan.record.kind != Record::Kind::kNone) context.Uses("record", map.KeyMark("record"));
  }
  BROADSIDE_RETURN_IF_ERROR(
      map.Word<bool>("keep", {{"thin", false}, {"raw", true}}, plan.keep_raw));
  BROADSIDE_RETURN_IF_ERROR(map.Bool("stamp", plan.stamp));
  BROADSIDE_RETURN_IF_ERROR(map.Duration("interval", std::chrono::milliseconds(50),
                                         std::chrono::seconds(1), plan.interval));
  return {};
}

}  // namespace

StatusOr<Plan> ParsePlan(std::string_view text, const ParseOptions& options) {
  Context context(options);
  BROADSIDE_ASSIGN_OR_RETURN(yaml::Node root, yaml::Parse(text, 0, options.file_name));
  return PlanFromTree(context, std::move(root));
}

StatusOr<Plan> PlanFromTree(Context& context, yaml::Node root) {
  BROADSIDE_RETURN_IF_ERROR(ExpectMap(context, "plan", root));
  BROADSIDE_RETURN_IF_ERROR(ApplyOverrides(context, root));
  BROADSIDE_RETURN_IF_ERROR(Interpolate(context, root));
  BROADSIDE_RETURN_IF_ERROR(MergeDefaults(context, root));
  BROADSIDE_ASSIGN_OR_RETURN(const MapReader map,
                             MapReader::Open(context, "plan", root, kPlanSection));
  Plan plan;
  BROADSIDE_RETURN_IF_ERROR(ReadName(context, map, plan));
  BROADSIDE_RETURN_IF_ERROR(map.Require("targets"));
  BROADSIDE_RETURN_IF_ERROR(map.Require("load"));
  BROADSIDE_ASSIGN_OR_RETURN(plan.targets, ReadTargets(context, *map.Get("targets")));
  BROADSIDE_RETURN_IF_ERROR(map.Word<ArrivalMode>(
      "arrivals", {{"uniform", ArrivalMode::kUniform}, {"poisson", ArrivalMode::kPoisson}},
      plan.arrivals));
  BROADSIDE_RETURN_IF_ERROR(ReadSeed(context, map, plan));
  BROADSIDE_ASSIGN_OR_RETURN(plan.phases, ReadLoad(context, *map.Get("load"), plan.targets));
  BROADSIDE_RETURN_IF_ERROR(ReadRest(context, map, plan));
  BROADSIDE_RETURN_IF_ERROR(ReadTagsAndFiles(context, map, plan));
  BROADSIDE_RETURN_IF_ERROR(CheckPlan(context, plan));
  if (context.options.only_built_features) BROADSIDE_RETURN_IF_ERROR(CheckBuilt(context));
  return plan;
}

}  // namespace broadside::plan

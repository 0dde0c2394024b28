// JSON Schema of the grammar, from the parser's own table of keys.
#include <nlohmann/json.hpp>
#include <string>

#include "common/plan/keys.h"
#include "common/plan/parse.h"

namespace broadside::plan {
namespace {

using Json = nlohmann::ordered_json;

Json Pattern(const char* pattern) { return {{"type", "string"}, {"pattern", pattern}}; }

/// One alternative of a type; see Key.
Json TypeSchema(std::string_view type) {
  if (type.starts_with("@")) return {{"$ref", "#/$defs/" + std::string(type.substr(1))}};
  if (type.starts_with("'")) return {{"const", std::string(type.substr(1, type.size() - 2))}};
  if (type.starts_with("list:")) return {{"type", "array"}, {"items", TypeSchema(type.substr(5))}};
  if (type.starts_with("map:"))
    return {{"type", "object"}, {"additionalProperties", TypeSchema(type.substr(4))}};
  if (type == "any") return Json::object();
  if (type == "string" || type == "rule") return {{"type", "string"}};
  if (type == "integer") return {{"type", "integer"}};
  if (type == "number") return {{"type", "number"}};
  // YAML 1.2 reads on and off as strings, and so do editors.
  if (type == "bool") return {{"enum", {true, false, "on", "off", "yes", "no"}}};
  if (type == "duration") return Pattern("^([0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$");
  if (type == "rate") return Pattern("^[0-9]+(\\.[0-9]+)? ?/ ?(s|sec|second|m|min|minute|h|hour)$");
  if (type == "percent") return Pattern("^[0-9]+(\\.[0-9]{1,4})? ?%$");
  return Json::object();
}

Json KeySchema(const Key& key) {
  std::vector<std::string_view> alternatives;
  for (std::string_view rest = key.type; !rest.empty();) {
    const size_t bar = rest.find('|');
    alternatives.push_back(rest.substr(0, bar));
    rest = bar == std::string_view::npos ? std::string_view() : rest.substr(bar + 1);
  }
  Json out;
  if (alternatives.size() == 1) {
    out = TypeSchema(alternatives[0]);
  } else {
    for (const std::string_view type : alternatives) out["anyOf"].push_back(TypeSchema(type));
  }
  out["description"] = std::string(key.about);
  return out;
}

Json SectionSchema(const Section& section) {
  Json out = {{"type", "object"}, {"additionalProperties", false}};
  for (const Key& key : section.keys) out["properties"][std::string(key.name)] = KeySchema(key);
  return out;
}

}  // namespace

std::string PlanJsonSchema() {
  Json out = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
              {"title", "Broadside plan"},
              {"$ref", "#/$defs/plan"}};
  for (const Section* section : AllSections())
    out["$defs"][std::string(section->name)] = SectionSchema(*section);
  out["$defs"]["plan"]["required"] = {"targets", "load"};
  out["$defs"]["phase"]["required"] = Json::array({"phase"});
  return out.dump(2) + "\n";
}

}  // namespace broadside::plan

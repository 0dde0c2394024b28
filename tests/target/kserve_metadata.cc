// What a server says of itself and its models.
#include "tests/target/json_writer.h"
#include "tests/target/kserve.h"
#include "tests/target/kserve_answer.h"

namespace broadside::target {
namespace {

void WriteTensors(JsonWriter& writer, const Model& model, const std::vector<Tensor>& tensors) {
  writer.StartArray();
  for (const Tensor& tensor : tensors) {
    writer.StartObject();
    writer.Key("name");
    writer.String(tensor.name.c_str());
    writer.Key("datatype");
    writer.String(tensor.datatype.c_str());
    writer.Key("shape");
    writer.StartArray();
    for (const int64_t dim : FullShape(model, tensor)) writer.Int64(dim);
    writer.EndArray();
    writer.EndObject();
  }
  writer.EndArray();
}

void WriteConfigTensors(JsonWriter& writer, const std::vector<Tensor>& tensors) {
  writer.StartArray();
  for (const Tensor& tensor : tensors) {
    writer.StartObject();
    writer.Key("name");
    writer.String(tensor.name.c_str());
    writer.Key("data_type");
    const std::string type = tensor.datatype == "BYTES" ? "TYPE_STRING" : "TYPE_" + tensor.datatype;
    writer.String(type.c_str());
    writer.Key("dims");
    writer.StartArray();
    for (const int64_t dim : tensor.dims) writer.Int64(dim);
    writer.EndArray();
    writer.EndObject();
  }
  writer.EndArray();
}

Reply JsonReply(const JsonBuffer& buffer) {
  return {200, WireReply(200, "application/json",
                         std::string_view(buffer.GetString(), buffer.GetSize()))};
}

}  // namespace

Reply MetadataReply(const Model& model) {
  JsonBuffer buffer;
  JsonWriter writer(buffer);
  writer.StartObject();
  writer.Key("name");
  writer.String(model.name.c_str());
  writer.Key("versions");
  writer.StartArray();
  writer.String("1");
  writer.EndArray();
  writer.Key("platform");
  writer.String(model.platform.c_str());
  writer.Key("inputs");
  WriteTensors(writer, model, model.inputs);
  writer.Key("outputs");
  WriteTensors(writer, model, model.outputs);
  writer.EndObject();
  return JsonReply(buffer);
}

Reply ConfigReply(const Model& model) {
  JsonBuffer buffer;
  JsonWriter writer(buffer);
  const bool ensemble = model.platform == "ensemble";
  writer.StartObject();
  writer.Key("name");
  writer.String(model.name.c_str());
  writer.Key("platform");
  writer.String(ensemble ? "ensemble" : "");
  writer.Key("backend");
  writer.String(ensemble ? "" : "python");
  writer.Key("max_batch_size");
  writer.Int64(model.max_batch_size);
  writer.Key("input");
  WriteConfigTensors(writer, model.inputs);
  writer.Key("output");
  WriteConfigTensors(writer, model.outputs);
  writer.EndObject();
  return JsonReply(buffer);
}

Reply ServerMetadataReply() {
  return {200, WireReply(200, "application/json",
                         "{\"name\":\"broadside-scripted-target\",\"version\":\"" BROADSIDE_VERSION
                         "\",\"extensions\":[\"binary_tensor_data\",\"model_configuration\"]}")};
}

Reply UnknownModelReply(std::string_view model, bool json_type) {
  return ErrorReply(404, "Request for unknown model: '" + std::string(model) + "' is not found",
                    json_type);
}

}  // namespace broadside::target

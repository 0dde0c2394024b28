#pragma once

#include <string>
#include <string_view>

#include "tests/target/http.h"
#include "tests/target/model.h"

/// The HTTP form of the Open Inference Protocol (KServe v2) with the binary tensor extension,
/// worded as Triton 2.51 does; the suite compares it with the real one. Pure. Any thread.
namespace broadside::target {

/// Answer of `model` to an inference request: its outputs, or the error that Triton would give.
/// `id` gets the request's id if there is one.
Reply Infer(const Model& model, const Request& request, std::string& id);

Reply MetadataReply(const Model& model);
Reply ConfigReply(const Model& model);
Reply ServerMetadataReply();
Reply UnknownModelReply(std::string_view model, bool json_type);

/// Bytes of one element; 0 for BYTES, -1 for a name that is no datatype.
int ElementSize(std::string_view datatype);

}  // namespace broadside::target

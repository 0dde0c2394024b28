#pragma once

#include "rapidjson/stringbuffer.h"
#include "rapidjson/writer.h"

namespace broadside::target {

/// Writes as Triton does, NaN and Inf included.
using JsonBuffer = rapidjson::StringBuffer;
using JsonWriter = rapidjson::Writer<JsonBuffer, rapidjson::UTF8<>, rapidjson::UTF8<>,
                                     rapidjson::CrtAllocator, rapidjson::kWriteNanAndInfFlag>;

}  // namespace broadside::target

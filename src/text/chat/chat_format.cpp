#include "shine/text/chat_format.h"

#include "shine/text/special_tokens.h"

namespace shine {
namespace {

void set_frames(ChatFormat& format, const ChatFrame& frame) {
  format.system = format.user = format.assistant = frame;
}

ChatFormat make_chatml() {
  ChatFormat format;
  format.name = "chatml";
  set_frames(format, {std::string(kMessageStart) + "{role}\n", std::string(kMessageEnd) + "\n"});
  format.cuts_thoughts = true;
  format.answer_end = kMessageEnd;
  format.text_end = kTextEnd;
  return format;
}

}  // namespace

const ChatFormat& chatml_format() {
  static const ChatFormat format = make_chatml();
  return format;
}

ChatFormat llama3_format(bool dated) {
  ChatFormat format;
  format.name = dated ? "llama3.1" : "llama3";
  format.begin = "<|begin_of_text|>";
  set_frames(format, {"<|start_header_id|>{role}<|end_header_id|>\n\n", "<|eot_id|>"});
  if (dated) format.system_lead = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n";
  format.trims_answers = format.trims_others = true;
  format.answer_end = "<|eot_id|>";
  format.text_end = "<|end_of_text|>";
  return format;
}

ChatFormat mistral_format(MistralVersion version) {
  ChatFormat format;
  format.begin = "<s>";
  format.assistant.after = format.answer_end = format.text_end = "</s>";
  format.system_place = SystemPlace::last_user;
  switch (version) {
    case MistralVersion::v1:
      format.name = "mistral v1";
      format.user = {" [INST] ", " [/INST]"};
      format.answer_lead = " ";
      format.system_place = SystemPlace::first_user;
      break;
    case MistralVersion::v3:
      format.name = "mistral v3";
      format.user = {"[INST] ", "[/INST]"};
      format.answer_lead = " ";
      format.trims_answers = true;
      break;
    case MistralVersion::v3_tekken:
      format.name = "mistral v3-tekken";
      format.user = {"[INST]", "[/INST]"};
      break;
  }
  return format;
}

ChatFormat plain_format(const std::string& end_token) {
  ChatFormat format;
  format.name = "none";
  format.system.after = format.user.after = "\n";
  format.assistant.after = format.answer_end = format.text_end = end_token;
  return format;
}

}  // namespace shine

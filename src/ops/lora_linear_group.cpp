#include "shine/ops/lora_linear_group.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "shine/common/error.h"
#include "shine/ops/lora_linear.h"

namespace shine {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Spans = std::vector<std::int64_t>;

/// The maps' adapters as `groups` products: one for each adapter, or one for all of them side by side.
struct Stack {
  at::Tensor a;                             ///< (groups, in, K)
  std::vector<at::Tensor> b;                ///< of each map: (groups, k, out), the k values that are its own of the K
  std::vector<std::int64_t> first_columns;  ///< of each map in K
};

at::Tensor side_by_side(const at::Tensor& a) {  // (B_l, in, r) -> (1, in, B_l r)
  return a.permute({1, 0, 2}).reshape({1, a.size(1), -1});
}

at::Tensor each_alone(const at::Tensor& a, std::int64_t adapters) {  // and back
  return a.view({a.size(1), adapters, -1}).permute({1, 0, 2});
}

Stack make_stack(const std::vector<LoraMap>& maps, bool masked, at::ScalarType type) {
  Stack stack;
  std::vector<at::Tensor> parts;
  std::int64_t columns = 0;
  for (const LoraMap& map : maps) {
    const at::Tensor a = map.a.to(type), b = map.b.to(type);
    parts.push_back(masked ? side_by_side(a) : a);
    stack.b.push_back(masked ? b.reshape({1, -1, b.size(2)}) : b);
    stack.first_columns.push_back(columns);
    columns += parts.back().size(2);
  }
  stack.a = at::cat(parts, 2);
  return stack;
}

/// The defined tensors of x and the maps, in a row as autograd gets them, and where each of them is.
struct Operands {
  variable_list tensors;
  std::vector<std::int64_t> places;  ///< of W, bias, A, B, C of each map; -1: undefined

  explicit Operands(const LoraLinearGroupInput& in) : tensors{in.x} {
    for (const LoraMap& map : in.maps) {
      for (const at::Tensor* tensor : {&map.weight, &map.bias, &map.a, &map.b, &map.c}) {
        places.push_back(tensor->defined() ? static_cast<std::int64_t>(tensors.size()) : -1);
        if (tensor->defined()) tensors.push_back(*tensor);
      }
    }
  }
};

constexpr std::size_t kWeight = 0, kBias = 1, kA = 2, kB = 3, kC = 4, kOperands = 5;

/// Values of tokens of other adapters become zero. x (N, B_l r), mask (N, B_l).
void hide_others(const at::Tensor& x, const at::Tensor& mask) {
  x.unflatten(1, {mask.size(1), -1}).mul_(mask.unsqueeze(2));
}

std::vector<std::int64_t> group_spans(const Spans& spans, bool masked) {
  return masked ? Spans{spans.front(), spans.back()} : spans;
}

class LoraLinearGroup : public torch::autograd::Function<LoraLinearGroup> {
 public:
  /// @param tokens_adapter  (N), or undefined: products are per adapter
  static variable_list forward(AutogradContext* context, at::TensorList operands,
                               const std::vector<std::int64_t>& places, const Spans& spans,
                               const std::optional<at::Tensor>& tokens_adapter) {
    const at::Tensor& x = operands[0];
    const auto maps = maps_of(operands, places);
    const std::int64_t adapters = maps[0].a.size(0);
    const bool masked = tokens_adapter.has_value();
    const Stack stack = make_stack(maps, masked, x.scalar_type());
    at::Tensor mask;  // (N, B_l)
    if (masked) {
      mask = tokens_adapter->unsqueeze(1).eq(at::arange(adapters, tokens_adapter->options())).to(x.scalar_type());
    }
    const Spans groups = group_spans(spans, masked);
    const at::Tensor down = at::empty({x.size(0), stack.a.size(2)}, x.options());  // (N, K) = x A
    for_groups(groups, [&](std::int64_t group, std::int64_t start, std::int64_t length) {
      at::Tensor part = down.narrow(0, start, length);
      at::mm_out(part, x.narrow(0, start, length), stack.a[group]);
    });
    variable_list outputs;
    for (std::size_t m = 0; m < maps.size(); ++m) {
      const LoraMap& map = maps[m];
      const at::Tensor columns = down.narrow(1, stack.first_columns[m], stack.b[m].size(1));
      if (masked) hide_others(columns, mask);
      const at::Tensor y = at::linear(x, map.weight, map.bias.defined() ? std::optional(map.bias) : std::nullopt);
      for_groups(groups, [&](std::int64_t group, std::int64_t start, std::int64_t length) {
        y.narrow(0, start, length).addmm_(columns.narrow(0, start, length), stack.b[m][group]);
        if (map.c.defined() && !masked) y.narrow(0, start, length).add_(map.c[group].to(x.scalar_type()));
      });
      if (map.c.defined() && masked) y.addmm_(mask, map.c.to(x.scalar_type()));
      outputs.push_back(y);
    }
    variable_list saved{x, stack.a, down};
    saved.insert(saved.end(), stack.b.begin(), stack.b.end());
    for (const LoraMap& map : maps) saved.push_back(map.weight);
    if (masked) saved.push_back(mask);
    context->save_for_backward(saved);
    context->saved_data["places"] = places;
    context->saved_data["spans"] = spans;
    context->saved_data["masked"] = masked;
    context->saved_data["adapters"] = adapters;
    context->saved_data["lora_type"] = static_cast<std::int64_t>(maps[0].a.scalar_type());
    context->set_materialize_grads(false);
    return outputs;
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    const Saved saved(context);
    const std::size_t maps = gradients.size();
    const at::Tensor up = at::zeros_like(saved.down);  // (N, K) = dy B^T
    at::Tensor dx;
    // Operands, places, spans, tokens_adapter: only the first are tensors that autograd may want.
    variable_list results(saved.operands + 3);
    const auto give = [&](std::size_t map, std::size_t operand, const auto& make) {
      const std::int64_t place = saved.places[map * kOperands + operand];
      if (place < 0 || !context->needs_input_grad(static_cast<std::size_t>(place))) return;
      results[static_cast<std::size_t>(place)] = make();
    };
    for (std::size_t m = 0; m < maps; ++m) {
      if (!gradients[m].defined()) continue;
      const at::Tensor dy = gradients[m].contiguous();
      const at::Tensor up_columns = saved.columns(up, m), down_columns = saved.columns(saved.down, m);
      for_groups(saved.groups, [&](std::int64_t group, std::int64_t start, std::int64_t length) {
        up_columns.narrow(0, start, length).copy_(dy.narrow(0, start, length).mm(saved.b(m)[group].t()));
      });
      if (saved.masked) hide_others(up_columns, saved.mask);
      if (context->needs_input_grad(0)) {
        if (dx.defined()) {
          dx.addmm_(dy, saved.weight(m));
        } else {
          dx = dy.mm(saved.weight(m));
        }
      }
      give(m, kB, [&] {
        const at::Tensor db = at::zeros(saved.b(m).sizes(), dy.options());
        for_groups(saved.groups, [&](std::int64_t group, std::int64_t start, std::int64_t length) {
          db[group].copy_(down_columns.narrow(0, start, length).t().mm(dy.narrow(0, start, length)));
        });
        return db.view({saved.adapters, -1, db.size(2)}).to(saved.lora_type);
      });
      give(m, kC, [&] {
        if (saved.masked) return saved.mask.t().mm(dy).to(saved.lora_type);
        const at::Tensor dc = at::zeros({saved.adapters, dy.size(1)}, dy.options());
        for_groups(saved.groups, [&](std::int64_t group, std::int64_t start, std::int64_t length) {
          dc[group].copy_(dy.narrow(0, start, length).sum(0));
        });
        return dc.to(saved.lora_type);
      });
    }
    if (!dx.defined() && !saved.wants(context, kA)) return results;
    const at::Tensor da = at::zeros(saved.a.sizes(), saved.a.options());
    for_groups(saved.groups, [&](std::int64_t group, std::int64_t start, std::int64_t length) {
      const at::Tensor part = up.narrow(0, start, length);
      if (dx.defined()) dx.narrow(0, start, length).addmm_(part, saved.a[group].t());
      da[group].copy_(saved.x.narrow(0, start, length).t().mm(part));
    });
    for (std::size_t m = 0; m < maps; ++m) {
      give(m, kA, [&] {
        const at::Tensor columns = da.narrow(2, saved.first_columns[m], saved.b(m).size(1)).contiguous();
        return (saved.masked ? each_alone(columns, saved.adapters) : columns).to(saved.lora_type);
      });
    }
    results[0] = dx;
    return results;
  }

 private:
  struct Saved {
    variable_list tensors;
    std::vector<std::int64_t> places, first_columns;
    std::size_t maps, operands = 1;
    Spans groups;
    bool masked;
    std::int64_t adapters;
    at::ScalarType lora_type;
    at::Tensor x, a, down, mask;

    explicit Saved(AutogradContext* context)
        : tensors(context->get_saved_variables()),
          places(context->saved_data["places"].toIntVector()),
          maps(places.size() / kOperands),
          masked(context->saved_data["masked"].toBool()),
          adapters(context->saved_data["adapters"].toInt()),
          lora_type(static_cast<at::ScalarType>(context->saved_data["lora_type"].toInt())),
          x(tensors[0]),
          a(tensors[1]),
          down(tensors[2]) {
      groups = group_spans(context->saved_data["spans"].toIntVector(), masked);
      for (const std::int64_t place : places) operands += place >= 0 ? 1 : 0;
      if (masked) mask = tensors.back();
      std::int64_t column = 0;
      for (std::size_t m = 0; m < maps; ++m) {
        first_columns.push_back(column);
        column += b(m).size(1);
      }
    }
    /// Whether any map's operand wants a gradient.
    bool wants(AutogradContext* context, std::size_t operand) const {
      for (std::size_t i = operand; i < places.size(); i += kOperands) {
        if (places[i] >= 0 && context->needs_input_grad(static_cast<std::size_t>(places[i]))) return true;
      }
      return false;
    }
    const at::Tensor& b(std::size_t map) const { return tensors[3 + map]; }
    const at::Tensor& weight(std::size_t map) const { return tensors[3 + maps + map]; }
    at::Tensor columns(const at::Tensor& all, std::size_t map) const {
      return all.narrow(1, first_columns[map], b(map).size(1));
    }
  };

  static std::vector<LoraMap> maps_of(at::TensorList operands, const std::vector<std::int64_t>& places) {
    const auto at_place = [&](std::size_t i) {
      return places[i] < 0 ? at::Tensor() : operands[static_cast<std::size_t>(places[i])];
    };
    std::vector<LoraMap> maps;
    for (std::size_t i = 0; i < places.size(); i += kOperands) {
      maps.push_back(
          {at_place(i + kWeight), at_place(i + kBias), at_place(i + kA), at_place(i + kB), at_place(i + kC)});
    }
    return maps;
  }

  /// f(group, start, length) for every group that has tokens.
  template <class F>
  static void for_groups(const Spans& groups, const F& f) {
    for (std::size_t i = 0; i + 1 < groups.size(); ++i) {
      if (groups[i + 1] > groups[i]) f(static_cast<std::int64_t>(i), groups[i], groups[i + 1] - groups[i]);
    }
  }
};

}  // namespace

at::Tensor adapter_of_token(const std::vector<std::int64_t>& spans, at::Device device) {
  std::vector<std::int64_t> adapters;
  for (std::size_t i = 0; i + 1 < spans.size(); ++i) {
    adapters.insert(adapters.end(), static_cast<std::size_t>(spans[i + 1] - spans[i]), static_cast<std::int64_t>(i));
  }
  return at::tensor(adapters, at::TensorOptions().dtype(at::kLong)).to(device, at::kLong, /*non_blocking=*/true);
}

std::vector<at::Tensor> lora_linear_group(const LoraLinearGroupInput& in, AdapterProducts products) {
  SHINE_CHECK(!in.maps.empty(), ShapeError, "LoRA linear group: no maps");
  for (const LoraMap& map : in.maps) {
    check_lora_linear({in.x, map.weight, map.bias, map.a, map.b, map.c, in.spans});
    SHINE_CHECK(map.a.scalar_type() == in.maps[0].a.scalar_type(), ShapeError, "LoRA linear group: A of ",
                map.a.dtype().name(), " and ", in.maps[0].a.dtype().name());
  }
  SHINE_CHECK(!in.adapter_of_token.defined() || in.adapter_of_token.sizes() == at::IntArrayRef({in.x.size(0)}),
              ShapeError, "LoRA linear group: adapters of ", in.adapter_of_token.sizes(), " tokens for x ",
              in.x.sizes());
  std::optional<at::Tensor> tokens_adapter;
  if (products == AdapterProducts::masked && in.spans.size() > 2) {  // one adapter hides nothing
    tokens_adapter = in.adapter_of_token.defined() ? in.adapter_of_token : adapter_of_token(in.spans, in.x.device());
  }
  const Operands operands(in);
  return LoraLinearGroup::apply(at::TensorList(operands.tensors), operands.places, in.spans, tokens_adapter);
}

std::vector<at::Tensor> lora_linear_group(const LoraLinearGroupInput& in) {
  return lora_linear_group(in, in.x.is_cpu() ? AdapterProducts::per_adapter : AdapterProducts::masked);
}

std::vector<at::Tensor> lora_linear_group_plain(const LoraLinearGroupInput& in) {
  std::vector<at::Tensor> outputs;
  for (const LoraMap& map : in.maps) {
    outputs.push_back(lora_linear_plain({in.x, map.weight, map.bias, map.a, map.b, map.c, in.spans}));
  }
  return outputs;
}

}  // namespace shine

// Operations on lists of tensors that tch does not wrap: one call for all parameters instead of several small ones for each.
//
// Every function returns null, or the text of an error that lives until the thread's next call. `Tensor**` are arrays of
// borrowed tensors. Parameters without a gradient are passed over.

#include <exception>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_foreach_mul.h>
#include <ATen/ops/_foreach_norm.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/add.h>
#include <ATen/ops/clamp_max.h>
#include <ATen/ops/copy.h>
#include <ATen/ops/div.h>
#include <ATen/ops/gt.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/reciprocal.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>

using at::Tensor;
using Tensors = std::vector<Tensor>;

namespace {

template <typename Call> const char *contain(Call call) {
    static thread_local std::string message;
    try {
        at::NoGradGuard no_grad;
        call();
        return nullptr;
    } catch (const std::exception &error) {
        message = error.what();
    } catch (...) {
        message = "an unknown C++ exception";
    }
    return message.c_str();
}

// Those of `list` whose parameter has a gradient.
Tensors with_gradient(Tensor **parameters, Tensor **list, size_t count) {
    Tensors chosen;
    chosen.reserve(count);
    for (size_t i = 0; i < count; i++)
        if (parameters[i]->grad().defined()) chosen.push_back(*list[i]);
    return chosen;
}

Tensors gradients(const Tensors &parameters) {
    Tensors list;
    list.reserve(parameters.size());
    for (const Tensor &parameter : parameters) list.push_back(parameter.grad());
    return list;
}

// eta |w| / |g| for each pair, 1 where one of them is zero; stays on the device.
Tensors trust_ratios(const Tensors &weights, const Tensors &updates, double eta) {
    Tensor weight = at::stack(at::_foreach_norm(weights)), update = at::stack(at::_foreach_norm(updates));
    Tensor both = at::mul(weight.gt(0), update.gt(0)), ratio = at::div(at::mul(weight, eta), update);
    ratio = at::where(both, ratio, at::ones_like(ratio));
    return ratio.unbind(0);
}

} // namespace

extern "C" {

// `step` holds the number of the running step, counted from 1, on the parameters' device.
const char *diptych_adamw(Tensor **parameters, Tensor **first, Tensor **second, size_t count, Tensor *step,
                          double learning_rate, double beta1, double beta2, double decay, double epsilon) {
    return contain([&] {
        Tensors p = with_gradient(parameters, parameters, count);
        if (p.empty()) return;
        Tensors m = with_gradient(parameters, first, count), v = with_gradient(parameters, second, count);
        Tensors steps(p.size(), *step);
        at::_fused_adamw_(p, gradients(p), m, v, /*max_exp_avg_sqs=*/{}, steps, learning_rate, beta1, beta2, decay,
                          epsilon, /*amsgrad=*/false, /*maximize=*/false);
    });
}

const char *diptych_sgd(Tensor **parameters, Tensor **velocities, size_t count, double learning_rate, double momentum,
                        double decay, bool nesterov) {
    return contain([&] {
        Tensors p = with_gradient(parameters, parameters, count);
        if (p.empty()) return;
        // Without momentum libtorch wants no velocities.
        Tensors velocity = momentum == 0.0 ? Tensors{} : with_gradient(parameters, velocities, count);
        at::_fused_sgd_(p, gradients(p), velocity, decay, momentum, learning_rate, /*dampening=*/0.0, nesterov,
                        /*maximize=*/false, /*is_first_step=*/false);
    });
}

// `adapt`: with decay and trust ratio; `rate_inside`: the velocity accumulates what is already multiplied by the learning rate.
const char *diptych_lars(Tensor **parameters, Tensor **velocities, size_t count, double learning_rate, double momentum,
                         double decay, double eta, bool adapt, bool rate_inside) {
    return contain([&] {
        Tensors p = with_gradient(parameters, parameters, count);
        if (p.empty()) return;
        Tensors velocity = with_gradient(parameters, velocities, count), update = gradients(p);
        if (adapt) {
            update = at::_foreach_add(update, p, decay);
            at::_foreach_mul_(update, trust_ratios(p, update, eta));
        }
        at::_foreach_mul_(velocity, momentum);
        at::_foreach_add_(velocity, update, rate_inside ? learning_rate : 1.0);
        at::_foreach_add_(p, velocity, rate_inside ? -1.0 : -learning_rate);
    });
}

// to += weight (from - to)
const char *diptych_lerp(Tensor **to, Tensor **from, size_t count, double weight) {
    return contain([&] {
        Tensors target, source;
        for (size_t i = 0; i < count; i++) {
            target.push_back(*to[i]);
            source.push_back(*from[i]);
        }
        if (count > 0) at::_foreach_lerp_(target, source, weight);
    });
}

// Scales all gradients so that their common norm is at most `maximum`, as torch.nn.utils.clip_grad_norm_; `norm`, a float
// scalar on the parameters' device, becomes what it was. Nothing waits for the device.
const char *diptych_clip_gradients(Tensor **parameters, size_t count, double maximum, Tensor *norm) {
    return contain([&] {
        Tensors chosen = gradients(with_gradient(parameters, parameters, count));
        if (chosen.empty()) return;
        Tensor total = at::linalg_vector_norm(at::stack(at::_foreach_norm(chosen)));
        norm->copy_(total);
        at::_foreach_mul_(chosen, total.add(1e-6).reciprocal().mul(maximum).clamp_max(1.0));
    });
}

const char *diptych_clear_gradients(Tensor **parameters, size_t count) {
    return contain([&] {
        for (size_t i = 0; i < count; i++) parameters[i]->mutable_grad() = Tensor();
    });
}
}

// TorchScript modules with all of their variables: tch shows parameters only.
//
// Every function returns null, or the text of an error that lives until the thread's next call.

#include <exception>
#include <stdexcept>
#include <string>

#include <ATen/core/Tensor.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

using at::Tensor;
using torch::jit::Module;

namespace {

template <typename Call> const char *contain(Call call) {
    static thread_local std::string message;
    try {
        call();
        return nullptr;
    } catch (const std::exception &error) {
        message = error.what();
    } catch (...) {
        message = "an unknown C++ exception";
    }
    return message.c_str();
}

} // namespace

extern "C" {

using Visit = void (*)(void *context, const char *name, size_t length, Tensor *tensor, bool parameter);

const char *diptych_script_load(const char *path, const char *device, Module **module) {
    return contain([&] { *module = new Module(torch::jit::load(path, c10::Device(device))); });
}

void diptych_script_free(Module *module) { delete module; }

// Shows parameters, then buffers, each in the module's order; tensors are lent for the callback.
const char *diptych_script_visit(Module *module, void *context, Visit visit) {
    return contain([&] {
        for (auto entry : module->named_parameters())
            visit(context, entry.name.data(), entry.name.size(), &entry.value, true);
        for (auto entry : module->named_buffers())
            visit(context, entry.name.data(), entry.name.size(), &entry.value, false);
    });
}

const char *diptych_script_train(Module *module, bool training) {
    return contain([&] { module->train(training); });
}

// The output is the caller's to delete. The graph runs as it stands: what the executor would specialise and fuse after a few
// calls rounds otherwise, and a resumed run would not be the same run.
const char *diptych_script_forward(Module *module, Tensor *input, Tensor **output) {
    return contain([&] {
        torch::jit::GraphOptimizerEnabledGuard as_it_stands(false);
        auto forward = module->find_method("forward");
        if (!forward) throw std::runtime_error("found a module without a method forward, expected one");
        c10::IValue answer = (*forward)({*input});
        if (!answer.isTensor())
            throw std::runtime_error("forward gave a value of type " + answer.tagKind() + ", expected a tensor");
        *output = new Tensor(answer.toTensor());
    });
}
}

// How many bytes of tensors a piece of work holds at once, by the reports that libtorch's allocators give to its profiler.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <mutex>

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

namespace {

struct Watch : c10::MemoryReportingInfoBase {
    std::mutex mutex;
    int64_t now = 0, peak = 0;

    void reportMemoryUsage(void *, int64_t size, size_t, size_t, c10::Device) override {
        std::lock_guard<std::mutex> lock(mutex);
        now += size;
        peak = std::max(peak, now);
    }
    bool memoryProfilingEnabled() const override { return true; }
};

} // namespace

// Calls `work` with `context`; returns the most bytes that lived at once of those that it allocated, on any device, in this thread
// and in the autograd threads that it sets to work. `work` must not throw.
extern "C" int64_t diptych_peak_bytes(void (*work)(void *), void *context) {
    auto watch = std::make_shared<Watch>();
    c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, watch);
    work(context);
    return watch->peak;
}

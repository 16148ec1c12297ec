// The plugin boundary of Diptych for C and C++. Generated from plugins/abi, to renew it:
// UPDATE_HEADER=1 cargo test -p diptych-host --test header

#ifndef DIPTYCH_PLUGIN_H
#define DIPTYCH_PLUGIN_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

// Major version: a plugin built for another one is refused.
#define DIPTYCH_ABI_MAJOR 1

// Minor version: a plugin built for a higher one is refused.
#define DIPTYCH_ABI_MINOR 1

// The optimizer updates it; without this flag it is a buffer.
#define DIPTYCH_VARIABLE_TRAINABLE (1 << 0)

// It is a bias.
#define DIPTYCH_VARIABLE_BIAS (1 << 1)

// It belongs to a normalisation layer.
#define DIPTYCH_VARIABLE_NORM (1 << 2)

// Descriptor flag: the operator works on planar float pixels; without it, on interleaved bytes.
#define DIPTYCH_AUGMENTATION_PLANAR_F32 (1 << 0)

// Descriptor flag: the output has the input's size and is written over it (`input.data == output.data`).
#define DIPTYCH_AUGMENTATION_IN_PLACE (1 << 1)

// Descriptor flag: leaving it out of a chain for one sample makes sense, so TOML may give a `probability`.
// An operator that sets the size of the view doesn't have it.
#define DIPTYCH_AUGMENTATION_TAKES_PROBABILITY (1 << 2)

// Descriptor flag: the output is planar float pixels whatever the input is; not for an operator in place.
#define DIPTYCH_AUGMENTATION_WRITES_PLANAR_F32 (1 << 3)

// Descriptor flag: the loss reads `target_projection`; without it the trainer may leave the target network out.
#define DIPTYCH_LOSS_READS_TARGET (1 << 0)

// Descriptor flag: the loss reads `online_prediction`; without it a configured predictor is an error.
#define DIPTYCH_LOSS_READS_PREDICTION (1 << 1)

// Descriptor flag, since version 1.1: the loss reads `labels`; with it data without labels is an error.
#define DIPTYCH_LOSS_READS_LABELS (1 << 2)

// What a call came to: one of the `STATUS_` constants.
typedef uint32_t DiptychStatus;

// How the pixels of an [`Image`] lie in memory: one of the `PIXELS_` constants.
typedef uint32_t DiptychPixelFormat;

// What values a parameter takes: one of the `PARAMETER_` constants.
typedef uint32_t DiptychParameterKind;

// Borrowed UTF-8 text, not terminated by a zero. `data` may be null when `length` is 0.
typedef struct DiptychStr {
  // First byte.
  const uint8_t *data;
  // Number of bytes.
  size_t length;
} DiptychStr;

// What the host tells a library in [`PluginEntry::open`]. Valid for the process's life.
typedef struct DiptychHostInfo {
  // `sizeof(HostInfo)` of the host.
  uint32_t struct_size;
  // The host's [`ABI_MAJOR`].
  uint16_t abi_major;
  // The host's [`ABI_MINOR`].
  uint16_t abi_minor;
  // Version of Diptych, for messages.
  struct DiptychStr version;
} DiptychHostInfo;

// Where a failing call says why. Owned by the host, valid for the call it is passed to.
typedef struct DiptychErrorSink {
  // Passed back to `set_error`.
  void *context;
  // Copies `length` bytes of UTF-8 at `message`; the last call before the return counts.
  // May be called only during the call that was given this sink, on its thread.
  void (*set_error)(void *context, const uint8_t *message, size_t length);
} DiptychErrorSink;

// The one exported symbol of a plugin.
typedef struct DiptychPluginEntry {
  // [`ABI_MAJOR`] of the headers that the plugin was built with. First, so that it can be read
  // whatever else changes.
  uint16_t abi_major;
  // [`ABI_MINOR`] likewise.
  uint16_t abi_minor;
  // `sizeof(PluginEntry)` of the plugin.
  uint32_t struct_size;
  // Short name of the library, for messages: `diptych-augmentations`.
  struct DiptychStr name;
  // Version of the library, for messages and for run records.
  struct DiptychStr version;
  // Zero-terminated version of libtorch that the library was built against, compared to the
  // host's as an exact string (`2.11.0`); null when no component touches tensors.
  const char *torch_abi;
  // Called once, before anything else but the fields above is used.
  DiptychStatus (*open)(const struct DiptychHostInfo *host, const struct DiptychErrorSink *errors);
  // The factory for a `KIND_` string (zero-terminated), or null when the library has no component of that kind.
  // The result lives as long as the library.
  const void *(*get_factory)(const char *kind);
} DiptychPluginEntry;

// One value of a parameter; which field counts depends on `kind`, the others are 0 or empty.
typedef struct DiptychParameterValue {
  // One of the `PARAMETER_` constants.
  DiptychParameterKind kind;
  // For [`PARAMETER_FLOAT`] the first, for [`PARAMETER_RANGE`] both.
  double float_[2];
  // For [`PARAMETER_INTEGER`], [`PARAMETER_BOOLEAN`] and [`PARAMETER_CHOICE`].
  int64_t integer;
  // For [`PARAMETER_CHOICE`], [`PARAMETER_TEXT`] and [`PARAMETER_FILE`].
  struct DiptychStr text;
} DiptychParameterValue;

// One parameter of a component. The host validates TOML against it, so that `create` only ever
// sees values of the right kind within the bounds, one per descriptor and in the descriptors' order.
typedef struct DiptychParameterDescriptor {
  // `sizeof(ParameterDescriptor)` of the plugin; also the stride of an array of them.
  uint32_t struct_size;
  // 1 when TOML must give it, and `default` does not count.
  uint32_t required;
  // Stable snake_case id, unique in the component: the TOML key.
  struct DiptychStr id;
  // The value when TOML gives none; its `kind` is the parameter's kind.
  struct DiptychParameterValue default_;
  // Smallest allowed number, inclusive; minus infinity for none.
  double minimum;
  // Largest allowed number, inclusive; infinity for none.
  double maximum;
  // Unit as people write it (`pixels`, `turns`), or empty.
  struct DiptychStr unit;
  // What it does, Markdown, at least one sentence.
  struct DiptychStr doc;
  // For [`PARAMETER_CHOICE`]: the allowed texts; else null.
  const struct DiptychStr *choices;
  // Number of choices.
  size_t choice_count;
} DiptychParameterDescriptor;

// What every component says of itself, whatever its kind.
typedef struct DiptychComponentDescriptor {
  // `sizeof(ComponentDescriptor)` of the plugin.
  uint32_t struct_size;
  // `FLAG_` bits of the component's kind.
  uint32_t flags;
  // Stable snake_case id, unique among all loaded components of the kind; what TOML names.
  struct DiptychStr id;
  // What it computes and after whom, Markdown; the first sentence stands alone in lists.
  struct DiptychStr doc;
  // First of `parameter_count` parameters, or null.
  const struct DiptychParameterDescriptor *parameters;
  // Number of parameters.
  size_t parameter_count;
} DiptychComponentDescriptor;

// Width and height in pixels.
typedef struct DiptychSize {
  // Columns.
  uint32_t width;
  // Rows.
  uint32_t height;
} DiptychSize;

// A stream of draws for one (run seed, epoch, sample, view, operator); the key is the host's hash of these.
typedef struct DiptychRandomStream {
  // Philox key.
  uint32_t key[2];
  // Index of the next draw. Draw 0 decides whether the operator is applied and is the host's; a
  // plugin finds the stream at 1.
  uint64_t draw;
} DiptychRandomStream;

// A rectangle of whole pixels.
typedef struct DiptychRegion {
  // Leftmost column.
  uint32_t x;
  // Topmost row.
  uint32_t y;
  // Columns.
  uint32_t width;
  // Rows.
  uint32_t height;
} DiptychRegion;

// What an operator answers to `plan`. The host fills it in with `output` = input size, `region` = the whole input
// and `scratch_bytes` = 0 before the call, so that an operator in place needs to write nothing.
typedef struct DiptychPlan {
  // `sizeof(Plan)` of the host.
  uint32_t struct_size;
  // Size that `apply` will write.
  struct DiptychSize output;
  // What `apply` will read of its input.
  struct DiptychRegion region;
  // Bytes of scratch memory that `apply` wants, aligned to 64; the host has initialised them, with any content.
  size_t scratch_bytes;
} DiptychPlan;

// Pixels, borrowed for a call.
typedef struct DiptychImage {
  // `sizeof(Image)` of the host.
  uint32_t struct_size;
  // One of the `PIXELS_` constants; always what the descriptor's flags ask for, of the input and of the output.
  DiptychPixelFormat format;
  // The rectangle of the planned input (or output) that these pixels are. For an input it holds
  // at least the region that `plan` asked for; for an output it is the whole planned size at (0, 0).
  struct DiptychRegion region;
  // First byte of the region's first pixel.
  uint8_t *data;
  // Bytes from one row to the next.
  size_t row_stride;
  // Bytes from one plane to the next; 0 for interleaved pixels.
  size_t plane_stride;
} DiptychImage;

// An operator's instance. Created by [`AugmentationFactory::create`], released by `destroy`.
typedef struct DiptychAugmentationInstance {
  // `sizeof(AugmentationInstance)` of the plugin.
  uint32_t struct_size;
  // The plugin's own.
  void *state;
  // Draws what the operator will do to an image of `input` pixels and writes its `plan`.
  DiptychStatus (*plan)(void *state,
                        struct DiptychSize input,
                        struct DiptychRandomStream *random,
                        struct DiptychPlan *plan,
                        const struct DiptychErrorSink *errors);
  // Does what the last `plan` drew. Every pixel of `output` must be written.
  DiptychStatus (*apply)(void *state,
                         const struct DiptychImage *input,
                         const struct DiptychImage *output,
                         uint8_t *scratch,
                         const struct DiptychErrorSink *errors);
  // Writes what the last `plan` drew as short text (`sigma 1.32`) through `describe`, for previews. May be null.
  DiptychStatus (*describe_draws)(void *state, void *context, void (*describe)(void *context,
                                                                               struct DiptychStr text));
  // Releases the instance and its state; it is not used again. Must not fail.
  void (*destroy)(struct DiptychAugmentationInstance *instance);
} DiptychAugmentationInstance;

// The augmentations of a library: answer to `get_factory("augmentation/1")`.
typedef struct DiptychAugmentationFactory {
  // `sizeof(AugmentationFactory)` of the plugin.
  uint32_t struct_size;
  // Number of components.
  uint32_t (*count)(void);
  // Component `index` (below `count`); lives as long as the library.
  const struct DiptychComponentDescriptor *(*describe)(uint32_t index);
  // Creates an instance of component `index`. `values` holds one value per parameter, in the descriptor's order.
  // On [`crate::STATUS_OK`] `instance` is written and owned by the host until `destroy`.
  DiptychStatus (*create)(uint32_t index,
                          const struct DiptychParameterValue *values,
                          size_t value_count,
                          struct DiptychAugmentationInstance **instance,
                          const struct DiptychErrorSink *errors);
} DiptychAugmentationFactory;

// What a network or a loss is made for.
typedef struct DiptychTensorContext {
  // `sizeof(TensorContext)` of the host.
  uint32_t struct_size;
  // Seed of the initial weights. The same seed and parameters give the same weights, bit for bit on a CPU.
  uint64_t seed;
  // Device as PyTorch writes it: `cpu`, `cuda:0`. Weights are drawn on the CPU and then moved, so
  // that they do not depend on it.
  struct DiptychStr device;
  // Since version 1.1, for a loss: width of the embeddings; 0 for an encoder.
  uint32_t embedding_width;
  // Since version 1.1, for a loss: width of the projections; 0 for an encoder.
  uint32_t projection_width;
  // Since version 1.1, for a loss: number of classes of the data; 0 for an encoder, and for data without labels.
  uint32_t class_count;
} DiptychTensorContext;

// A borrowed `at::Tensor*`, valid for the call it is passed to. The plugin may read and use it with
// autograd, and must not free it.
typedef void *DiptychBorrowedTensor;

// Receives named variables of an encoder, or the named state of a loss. Owned by the host, valid for the call.
typedef struct DiptychVariableVisitor {
  // Passed back to `visit`.
  void *context;
  // Takes one variable. `tensor` is borrowed for the call; the host may keep its own reference to the
  // same storage (`at::Tensor`'s copy constructor) and write into it in place between calls.
  void (*visit)(void *context, struct DiptychStr name, DiptychBorrowedTensor tensor, uint32_t flags);
} DiptychVariableVisitor;

// An owned `at::Tensor*` (allocated with C++ `new`): whoever receives it deletes it through libtorch.
typedef void *DiptychOwnedTensor;

// Receives the named outputs of a forward pass. Owned by the host, valid for the call.
typedef struct DiptychOutputSink {
  // Passed back to `output`.
  void *context;
  // Takes one output and its ownership. `pooled` ([batch, features]) must come; feature maps by
  // stage (`stage1`, ... [batch, channels, rows, columns]) may.
  void (*output)(void *context, struct DiptychStr name, DiptychOwnedTensor tensor);
} DiptychOutputSink;

// An encoder. Created by [`EncoderFactory::create`], released by `destroy`.
typedef struct DiptychEncoderInstance {
  // `sizeof(EncoderInstance)` of the plugin.
  uint32_t struct_size;
  // Width of the output `pooled`.
  uint32_t feature_count;
  // The plugin's own.
  void *state;
  // Shows every variable, parameters and buffers, always in the same order and under the same name
  // (torchvision's or timm's where they have the network).
  DiptychStatus (*visit_variables)(void *state,
                                   const struct DiptychVariableVisitor *visitor,
                                   const struct DiptychErrorSink *errors);
  // Runs the network on `images`, float [batch, 3, rows, columns], normalised, on the context's device. `training` is 1 or 0
  // (batch statistics against running ones). Recorded by autograd when the thread's grad mode is on.
  DiptychStatus (*forward)(void *state,
                           DiptychBorrowedTensor images,
                           uint32_t training,
                           const struct DiptychOutputSink *outputs,
                           const struct DiptychErrorSink *errors);
  // Releases the instance and its state; it is not used again. Must not fail.
  void (*destroy)(struct DiptychEncoderInstance *instance);
} DiptychEncoderInstance;

// The encoders of a library: answer to `get_factory("encoder/1")`.
typedef struct DiptychEncoderFactory {
  // `sizeof(EncoderFactory)` of the plugin.
  uint32_t struct_size;
  // Number of components.
  uint32_t (*count)(void);
  // Component `index` (below `count`); lives as long as the library.
  const struct DiptychComponentDescriptor *(*describe)(uint32_t index);
  // Creates an instance of component `index`, as for augmentations.
  DiptychStatus (*create)(uint32_t index,
                          const struct DiptychTensorContext *context,
                          const struct DiptychParameterValue *values,
                          size_t value_count,
                          struct DiptychEncoderInstance **instance,
                          const struct DiptychErrorSink *errors);
} DiptychEncoderFactory;

// What the networks made of one view: float tensors [batch, dimensions], rows in the same order in every view. Views are an
// array, so this struct never grows; what came later stands beside it in [`LossInputs`].
typedef struct DiptychLossView {
  // z of the online network, with gradient.
  DiptychBorrowedTensor online_projection;
  // q of the online network, with gradient; without a predictor the online projection itself.
  DiptychBorrowedTensor online_prediction;
  // z of the target network (detached for `ema` and `stop_gradient`; the online projection itself for
  // `none`).
  DiptychBorrowedTensor target_projection;
} DiptychLossView;

// Everything a loss sees in one step.
typedef struct DiptychLossInputs {
  // `sizeof(LossInputs)` of the host.
  uint32_t struct_size;
  // Number of views, at least 2.
  uint32_t view_count;
  // First of the views.
  const struct DiptychLossView *views;
  // Index of the optimizer step, from 0.
  uint64_t step;
  // Planned number of optimizer steps.
  uint64_t step_count;
  // Since version 1.1: first of the `view_count` embeddings y of the online network, float [batch, features], with gradient.
  const DiptychBorrowedTensor *online_embeddings;
  // Since version 1.1: int64 [batch], each below the context's `class_count`; null when the data has no labels.
  DiptychBorrowedTensor labels;
} DiptychLossInputs;

// Receives named figures (a loss's positive similarity, for example). Owned by the host, valid for the call.
typedef struct DiptychFigureSink {
  // Passed back to `figure`.
  void *context;
  // Takes one figure; `tensor` is a borrowed scalar tensor, kept as a tensor so that no device synchronisation
  // happens until somebody reads it.
  void (*figure)(void *context, struct DiptychStr name, DiptychBorrowedTensor tensor);
} DiptychFigureSink;

// A loss. Created by [`LossFactory::create`], released by `destroy`.
typedef struct DiptychLossInstance {
  // `sizeof(LossInstance)` of the plugin.
  uint32_t struct_size;
  // The plugin's own.
  void *state;
  // Shows the state that a checkpoint must hold (a queue, a memory bank); shows nothing when there is none. What is flagged
  // trainable is stepped by the run's optimizer, as the networks' variables are.
  DiptychStatus (*visit_state)(void *state,
                               const struct DiptychVariableVisitor *visitor,
                               const struct DiptychErrorSink *errors);
  // Computes the loss: a float scalar tensor, connected to its inputs by autograd, written to `loss` and owned by the
  // host; and its figures.
  DiptychStatus (*forward)(void *state,
                           const struct DiptychLossInputs *inputs,
                           DiptychOwnedTensor *loss,
                           const struct DiptychFigureSink *figures,
                           const struct DiptychErrorSink *errors);
  // Releases the instance and its state; it is not used again. Must not fail.
  void (*destroy)(struct DiptychLossInstance *instance);
} DiptychLossInstance;

// The losses of a library: answer to `get_factory("loss/1")`.
typedef struct DiptychLossFactory {
  // `sizeof(LossFactory)` of the plugin.
  uint32_t struct_size;
  // Number of components.
  uint32_t (*count)(void);
  // Component `index` (below `count`); lives as long as the library.
  const struct DiptychComponentDescriptor *(*describe)(uint32_t index);
  // Creates an instance of component `index`, as for encoders; the context's seed is for random state.
  DiptychStatus (*create)(uint32_t index,
                          const struct DiptychTensorContext *context,
                          const struct DiptychParameterValue *values,
                          size_t value_count,
                          struct DiptychLossInstance **instance,
                          const struct DiptychErrorSink *errors);
} DiptychLossFactory;

// The call did what it says.
#define DIPTYCH_STATUS_OK 0

// The call failed; the reason is in the error sink.
#define DIPTYCH_STATUS_ERROR 1

// The plugin panicked during this call; the instance is poisoned.
#define DIPTYCH_STATUS_PANICKED 2

// The instance panicked during an earlier call and can only be destroyed.
#define DIPTYCH_STATUS_POISONED 3

// 8-bit interleaved RGB: pixel (x, y), channel c at `data + y * row_stride + 3 * x + c`.
#define DIPTYCH_PIXELS_RGB8 0

// Planar 32-bit float RGB in [0, 1]: at `data + c * plane_stride + y * row_stride + 4 * x`, aligned to 4 bytes.
#define DIPTYCH_PIXELS_PLANAR_F32 1

// A number, in `float[0]`.
#define DIPTYCH_PARAMETER_FLOAT 0

// A whole number, in `integer`.
#define DIPTYCH_PARAMETER_INTEGER 1

// `true` or `false`, as 1 or 0 in `integer`.
#define DIPTYCH_PARAMETER_BOOLEAN 2

// One of the descriptor's choices: the text in `text`, its index in `integer`.
#define DIPTYCH_PARAMETER_CHOICE 3

// A pair `[low, high]` with `low <= high`, each within the bounds, in `float[0]` and `float[1]`.
#define DIPTYCH_PARAMETER_RANGE 4

// Free text, in `text`.
#define DIPTYCH_PARAMETER_TEXT 5

// Path of a file that the component reads when it is created, in `text`. The host counts the file's contents, not its path,
// among what changes a run's numbers, and refuses to create the component once they are others.
#define DIPTYCH_PARAMETER_FILE 6

// What follows is written by hand (plugins/abi/include/trailer.h).

// The kinds that get_factory is asked for.
#define DIPTYCH_KIND_AUGMENTATION "augmentation/1"
#define DIPTYCH_KIND_ENCODER "encoder/1"
#define DIPTYCH_KIND_LOSS "loss/1"

// A DiptychStr over a string literal, for initialisers.
#define DIPTYCH_STR(literal) {(const uint8_t *)("" literal), sizeof(literal) - 1}

#ifdef __cplusplus
extern "C" {
#endif

// The one symbol that a plugin exports; the plugin defines it. Make everything else `static`: a function
// called `open` would otherwise give way to the C library's.
#if defined(_WIN32)
__declspec(dllexport)
#elif defined(__GNUC__)
__attribute__((visibility("default")))
#endif
extern const DiptychPluginEntry diptych_plugin_entry;

#ifdef __cplusplus
}
#endif

// Gives `message` to the host and answers DIPTYCH_STATUS_ERROR: `return diptych_fail(errors, "...");`
static inline DiptychStatus diptych_fail(const DiptychErrorSink *errors, const char *message) {
  errors->set_error(errors->context, (const uint8_t *)message, strlen(message));
  return DIPTYCH_STATUS_ERROR;
}

// The next 64 random bits: Philox4x32-10, see DiptychRandomStream.
static inline uint64_t diptych_next_u64(DiptychRandomStream *random) {
  uint32_t counter[4] = {(uint32_t)random->draw, (uint32_t)(random->draw >> 32), 0, 0};
  uint32_t key[2] = {random->key[0], random->key[1]};
  for (int round = 0; round < 10; round++) {
    uint64_t left = (uint64_t)counter[0] * 0xD2511F53u;
    uint64_t right = (uint64_t)counter[2] * 0xCD9E8D57u;
    counter[0] = (uint32_t)(right >> 32) ^ counter[1] ^ key[0];
    counter[1] = (uint32_t)right;
    counter[2] = (uint32_t)(left >> 32) ^ counter[3] ^ key[1];
    counter[3] = (uint32_t)left;
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  random->draw += 1;
  return (uint64_t)counter[0] | (uint64_t)counter[1] << 32;
}

// Uniform in [0, 1), with 53 random bits.
static inline double diptych_unit(DiptychRandomStream *random) {
  return (double)(diptych_next_u64(random) >> 11) * (1.0 / 9007199254740992.0);
}

// Uniform in [low, high).
static inline double diptych_uniform(DiptychRandomStream *random, double low, double high) {
  return low + (high - low) * diptych_unit(random);
}

// 1 with `probability` (always for 1, never for 0), else 0.
static inline int diptych_bernoulli(DiptychRandomStream *random, double probability) {
  return diptych_unit(random) < probability;
}

// Uniform in 0..bound-1; `bound` must not be 0. The high 64 bits of draw times bound.
static inline uint64_t diptych_below(DiptychRandomStream *random, uint64_t bound) {
  uint64_t draw = diptych_next_u64(random);
  uint64_t low = (draw & 0xFFFFFFFFu) * (bound & 0xFFFFFFFFu);
  uint64_t middle = (draw >> 32) * (bound & 0xFFFFFFFFu) + (low >> 32);
  uint64_t carry = (draw & 0xFFFFFFFFu) * (bound >> 32) + (middle & 0xFFFFFFFFu);
  return (draw >> 32) * (bound >> 32) + (middle >> 32) + (carry >> 32);
}

#endif  /* DIPTYCH_PLUGIN_H */

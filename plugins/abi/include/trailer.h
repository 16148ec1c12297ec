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

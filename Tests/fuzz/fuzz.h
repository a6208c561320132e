/* Mutated files, made from a seed number and from files Xfer writes or that lie in a folder of samples. Each is loaded through the C API: it may
 * be accepted or refused, but nothing else may happen. */
#ifndef FUZZ_H
#define FUZZ_H

#include <xfer.h>

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KIND_KERAS, KIND_WEIGHTS_H5, KIND_LEGACY_H5, KIND_SAFETENSORS, KIND_JSON, KIND_JPEG, KIND_PNG, KINDS };
static const char *const kind_names[KINDS] = {".keras", ".weights.h5", "legacy .h5", ".safetensors", "config JSON", "JPEG", "PNG"};

enum { STATUSES = 18, SAMPLES = 64 };

typedef struct {
  int kind;
  unsigned char *bytes;
  size_t count;
  char name[128];
} fuzz_sample;

static fuzz_sample samples[SAMPLES];
static size_t sample_count;

/* ---- Numbers that depend on the seed alone (splitmix64) ---- */

static uint64_t random_state;

static uint64_t draw(void) {
  uint64_t z = random_state += 0x9e3779b97f4a7c15ull;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ z >> 27) * 0x94d049bb133111ebull;
  return z ^ z >> 31;
}

static size_t below(size_t limit) { return limit ? (size_t)(draw() % limit) : 0; }

/* ---- Samples ---- */

static void must(int holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "fuzz: %s: %s\n", what, xfer_last_error());
  exit(2);
}

static void add_sample(int kind, const char *path) {
  FILE *file = fopen(path, "rb");
  struct stat info;
  must(file != NULL && stat(path, &info) == 0 && sample_count < SAMPLES, path);
  fuzz_sample *sample = &samples[sample_count++];
  const char *slash = strrchr(path, '/');
  snprintf(sample->name, sizeof sample->name, "%s", slash ? slash + 1 : path);
  sample->kind = kind;
  sample->count = (size_t)info.st_size;
  sample->bytes = malloc(sample->count + 1);
  must(sample->bytes != NULL && fread(sample->bytes, 1, sample->count, file) == sample->count, path);
  fclose(file);
}

static int ends_with(const char *text, const char *end) {
  size_t a = strlen(text), b = strlen(end);
  return a >= b && strcmp(text + a - b, end) == 0;
}

/* The files of a folder, by their endings. */
static void add_folder(const char *folder) {
  struct dirent **list;
  int count = scandir(folder, &list, NULL, alphasort);
  must(count >= 0, folder);
  for (int i = 0; i < count; i++) {
    char path[1024];
    const char *name = list[i]->d_name;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (ends_with(name, ".keras")) add_sample(KIND_KERAS, path);
    else if (ends_with(name, ".weights.h5")) add_sample(KIND_WEIGHTS_H5, path);
    else if (ends_with(name, ".h5")) add_sample(KIND_LEGACY_H5, path);
    else if (ends_with(name, ".safetensors")) add_sample(KIND_SAFETENSORS, path);
    else if (ends_with(name, ".jpg")) add_sample(KIND_JPEG, path);
    else if (ends_with(name, ".png")) add_sample(KIND_PNG, path);
    free(list[i]);
  }
  free(list);
}

/* ---- The model the files are for ---- */

static xfer_model *model;

static xfer_symbol *apply_new(const char *class_name, const char *config, xfer_symbol *input) {
  xfer_layer *layer = NULL;
  xfer_symbol *output = NULL;
  must(xfer_layer_create(class_name, config, &layer) == XFER_OK, class_name);
  must(xfer_layer_apply(layer, (const xfer_symbol *const *)&input, 1, XFER_TRAINING_DEFAULT, &output) == XFER_OK, class_name);
  xfer_layer_release(layer);
  xfer_symbol_release(input);
  return output;
}

static void make_model(void) {
  xfer_symbol *start = NULL;
  must(xfer_input_create("{\"shape\":[8,8,3],\"name\":\"image\"}", &start) == XFER_OK, "input");
  xfer_symbol *begin = start, *x = NULL;
  xfer_layer *first = NULL;
  must(xfer_layer_create("Conv2D", "{\"filters\":4,\"kernel_size\":3,\"name\":\"conv\"}", &first) == XFER_OK, "Conv2D");
  must(xfer_layer_apply(first, (const xfer_symbol *const *)&begin, 1, XFER_TRAINING_DEFAULT, &x) == XFER_OK, "Conv2D");
  xfer_layer_release(first);
  x = apply_new("BatchNormalization", "{\"name\":\"bn\"}", x);
  x = apply_new("ReLU", "{\"name\":\"relu\"}", x);
  x = apply_new("GlobalAveragePooling2D", "{\"name\":\"pool\"}", x);
  x = apply_new("Dense", "{\"units\":3,\"name\":\"head\"}", x);
  must(xfer_model_create((const xfer_symbol *const *)&begin, 1, (const xfer_symbol *const *)&x, 1, "small", &model) == XFER_OK, "model");
  xfer_symbol_release(x);
  xfer_symbol_release(begin);
}

/* Samples Xfer writes itself, in `folder`. */
static void make_samples(const char *folder) {
  char path[1024];
  make_model();
  snprintf(path, sizeof path, "%s/own.keras", folder);
  must(xfer_model_save(model, path) == XFER_OK, path);
  add_sample(KIND_KERAS, path);
  snprintf(path, sizeof path, "%s/own.weights.h5", folder);
  must(xfer_model_save_weights(model, path) == XFER_OK, path);
  add_sample(KIND_WEIGHTS_H5, path);
  snprintf(path, sizeof path, "%s/own.safetensors", folder);
  must(xfer_model_save_weights(model, path) == XFER_OK, path);
  add_sample(KIND_SAFETENSORS, path);
  size_t length = 0;
  must(xfer_model_to_json(model, NULL, 0, &length) == XFER_OK, "JSON");
  char *text = malloc(length + 1);
  must(text != NULL && xfer_model_to_json(model, text, length + 1, &length) == XFER_OK, "JSON");
  snprintf(path, sizeof path, "%s/own.json", folder);
  FILE *file = fopen(path, "wb");
  must(file != NULL && fwrite(text, 1, length, file) == length, path);
  fclose(file);
  free(text);
  add_sample(KIND_JSON, path);
}

/* ---- Mutations ---- */

static uint32_t crc_of(const unsigned char *bytes, size_t count) {
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < count; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

static uint32_t word(const unsigned char *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* Some of everything that goes wrong with bytes, between `from` and `to`. Lengths change only with `resize`. */
static size_t mutate(unsigned char *bytes, size_t count, size_t capacity, size_t from, size_t to, int resize) {
  static const uint64_t extremes[] = {0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff, 0x7fffffffffffffff, 0xffffffffffffffff, 1ull << 40};
  size_t times = 1 + below(6);
  for (size_t turn = 0; turn < times && to > from; turn++) {
    size_t at = from + below(to - from);
    switch (below(resize ? 8 : 5)) {
    case 0: bytes[at] ^= (unsigned char)(1u << below(8)); break;
    case 1: bytes[at] = (unsigned char)draw(); break;
    case 2: { /* a number of 1, 2, 4 or 8 bytes */
      uint64_t value = extremes[below(sizeof extremes / sizeof *extremes)];
      size_t width = (size_t)1 << below(4);
      for (size_t i = 0; i < width && at + i < to; i++) bytes[at + i] = (unsigned char)(value >> 8 * i);
      break;
    }
    case 3: { /* a piece of it somewhere else */
      size_t length = 1 + below(64), source = from + below(to - from);
      if (at + length <= to && source + length <= to) memmove(bytes + at, bytes + source, length);
      break;
    }
    case 4: { /* a digit of a text becomes another character */
      static const char characters[] = "0123456789-.eE[]{},:\"ntf";
      size_t i = at;
      while (i < to && (bytes[i] < '0' || bytes[i] > '9')) i++;
      if (i < to) bytes[i] = (unsigned char)characters[below(sizeof characters - 1)];
      break;
    }
    case 5: count = to = at; break;
    case 6: { /* a piece goes */
      size_t length = 1 + below(count / 4 + 1);
      if (at + length > count) length = count - at;
      memmove(bytes + at, bytes + at + length, count - at - length);
      count = to = count - length;
      break;
    }
    case 7: { /* a piece comes twice */
      size_t length = 1 + below(256);
      if (at + length > count || count + length > capacity) break;
      memmove(bytes + at + length, bytes + at, count - at);
      count = to = count + length;
      break;
    }
    }
  }
  return count;
}

/* Changes the content of one stored entry of a zip archive and makes its checksum right again, so that what reads the content sees it. */
static int mutate_entry(unsigned char *bytes, size_t count) {
  size_t found[16], entries = 0;
  for (size_t i = 0; i + 46 <= count && entries < 16; i++)
    if (memcmp(bytes + i, "PK\1\2", 4) == 0 && bytes[i + 10] == 0 && bytes[i + 11] == 0) found[entries++] = i;
  if (!entries) return 0;
  unsigned char *central = bytes + found[below(entries)];
  size_t local = word(central + 42), size = word(central + 20);
  if (local + 30 > count) return 0;
  size_t start = local + 30 + (bytes[local + 26] | (size_t)bytes[local + 27] << 8) + (bytes[local + 28] | (size_t)bytes[local + 29] << 8);
  if (size == 0 || size > count || start > count - size) return 0;
  mutate(bytes, count, count, start, start + size, 0);
  uint32_t crc = crc_of(bytes + start, size);
  for (int i = 0; i < 4; i++) bytes[local + 14 + i] = central[16 + i] = (unsigned char)(crc >> 8 * i);
  return 1;
}

/* ---- One file ---- */

/* The sample file `index` is made from: the kinds take turns, as far as there are samples of them. */
static const fuzz_sample *sample_of(size_t index) {
  int kind = (int)(index % KINDS);
  size_t of_kind = 0;
  for (size_t i = 0; i < sample_count; i++) of_kind += samples[i].kind == kind;
  if (!of_kind) return &samples[index % sample_count];
  size_t turn = index / KINDS % of_kind;
  for (size_t i = 0; i < sample_count; i++)
    if (samples[i].kind == kind && turn-- == 0) return &samples[i];
  return &samples[0];
}

/* Makes file `index` of this seed in `folder`, loads it and gives the status; *kind is set to what it was. */
static xfer_status fuzz_one(const char *folder, uint64_t seed, size_t index, int *kind) {
  const fuzz_sample *sample = sample_of(index);
  random_state = seed * 0x100000001b3ull + index;
  draw();
  size_t capacity = sample->count + 4096, count = sample->count;
  unsigned char *bytes = malloc(capacity);
  must(bytes != NULL, "memory");
  memcpy(bytes, sample->bytes, count);
  if (sample->kind != KIND_KERAS || below(4) == 0 || !mutate_entry(bytes, count)) {
    /* Headers lie at the beginning: half of all changes go there. */
    size_t to = below(2) && count > 512 ? 512 : count;
    count = mutate(bytes, count, capacity, 0, to, below(3) == 0);
  }
  *kind = sample->kind;
  char path[1024];
  snprintf(path, sizeof path, "%s/mutated%s", folder,
           sample->kind == KIND_KERAS ? ".keras" : sample->kind == KIND_SAFETENSORS ? ".safetensors" : sample->kind == KIND_JPEG ? ".jpg" : sample->kind == KIND_PNG ? ".png" : ".h5");
  xfer_status status = XFER_OK;
  if (sample->kind == KIND_JSON) {
    bytes[count < capacity ? count : capacity - 1] = 0;
    xfer_model *made = NULL;
    status = xfer_model_from_json((const char *)bytes, &made);
    xfer_model_release(made);
  } else {
    FILE *file = fopen(path, "wb");
    must(file != NULL && fwrite(bytes, 1, count, file) == count && fclose(file) == 0, path);
    char report[64];
    xfer_model *made = NULL;
    xfer_tensor *image = NULL;
    switch (sample->kind) {
    case KIND_JPEG:
    case KIND_PNG:
      status = xfer_image_load(path, below(2) ? "{\"image_size\":[16,16]}" : NULL, &image);
      xfer_tensor_release(image);
      break;
    case KIND_KERAS:
      status = xfer_model_load(path, &made);
      xfer_model_release(made);
      break;
    case KIND_LEGACY_H5:
      if (below(2)) {
        status = xfer_model_load(path, &made);
        xfer_model_release(made);
        break;
      }
      /* fall through */
    default:
      status = xfer_model_load_weights(
        model, path, below(2) ? "{\"by_name\":true,\"skip_mismatch\":true}" : NULL, report, sizeof report, NULL);
    }
  }
  free(bytes);
  return status;
}

#endif

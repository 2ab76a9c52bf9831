// The noise that images start from, as flowmodel/runtime/noise.py has it: numpy's SeedSequence, then PyTorch's CPU generator.

function seedWords(number) {
  return number < 2 ** 32 ? [number] : [number % 2 ** 32, Math.floor(number / 2 ** 32)];
}

// The lower 32 bits of flowmodel.flow.seeds.mixed_seed(...parts).
export function mixedSeed(...parts) {
  const entropy = parts.flatMap(seedWords), pool = [0, 0, 0, 0];
  let constant = 0x43b0d7e5;
  const hash = (value) => {
    value ^= constant;
    constant = Math.imul(constant, 0x931e8875);
    value = Math.imul(value, constant);
    return value ^ (value >>> 16);
  };
  const mix = (x, y) => {
    const value = (Math.imul(0xca01f9dd, x) - Math.imul(0x4973f715, y)) | 0;
    return value ^ (value >>> 16);
  };
  for (let i = 0; i < 4; i++) pool[i] = hash(i < entropy.length ? entropy[i] | 0 : 0);
  for (let from = 0; from < 4; from++) for (let to = 0; to < 4; to++) if (from !== to) pool[to] = mix(pool[to], hash(pool[from]));
  for (const word of entropy.slice(4)) for (let to = 0; to < 4; to++) pool[to] = mix(pool[to], hash(word | 0));
  constant = 0x8b51f9dd;
  const [low, high] = [pool[0], pool[1]].map((value) => {
    value ^= constant;
    constant = Math.imul(constant, 0x58f38ded);
    value = Math.imul(value, constant);
    return value ^ (value >>> 16);
  });
  return ((low >>> 1) | (high << 31)) >>> 0;
}

function* mersenneTwister(seed) {
  const state = new Uint32Array(624);
  state[0] = seed;
  for (let i = 1; i < 624; i++) state[i] = Math.imul(1812433253, state[i - 1] ^ (state[i - 1] >>> 30)) + i;
  for (;;) {
    for (let i = 0; i < 624; i++) {
      const y = (state[i] & 0x80000000) | (state[(i + 1) % 624] & 0x7fffffff);
      state[i] = state[(i + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    for (let i = 0; i < 624; i++) {
      let y = state[i];
      y ^= y >>> 11;
      y ^= (y << 7) & 0x9d2c5680;
      y ^= (y << 15) & 0xefc60000;
      yield (y ^ (y >>> 18)) >>> 0;
    }
  }
}

// `count` numbers, a multiple of 16.
export function standardNormal(seed, count) {
  const words = mersenneTwister(seed), uniform = new Float32Array(count), found = new Float32Array(count);
  for (let i = 0; i < count; i++) uniform[i] = (words.next().value & 0xffffff) * 2 ** -24;
  for (let start = 0; start < count; start += 16) {
    for (let i = start; i < start + 8; i++) {
      const radius = Math.sqrt(-2 * Math.log(1 - uniform[i])), angle = 2 * Math.PI * uniform[i + 8];
      found[i] = radius * Math.cos(angle);
      found[i + 8] = radius * Math.sin(angle);
    }
  }
  return found;
}

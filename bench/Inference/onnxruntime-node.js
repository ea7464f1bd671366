// Times onnxruntime-node on a model: node onnxruntime-node.js model.onnx batches rounds
// Prints the microseconds a run took on average in each batch, as JSON.
'use strict';
const ort = require('onnxruntime-node');

async function main() {
  const [model, batches, rounds] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  const feeds = {};
  for (const input of session.inputMetadata) {
    const shape = input.shape.map(size => (typeof size === 'number' && size > 0 ? size : 1));
    feeds[input.name] = new ort.Tensor('float32', new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  }
  const output = session.outputNames[0];

  let sum = 0;
  const times = [];
  for (let batch = -2; batch < batches; batch++) { // two to warm up
    const start = process.hrtime.bigint();
    for (let round = 0; round < rounds; round++) {
      const result = await session.run(feeds);
      sum += result[output].data[0];
    }
    if (batch >= 0) times.push(Number(process.hrtime.bigint() - start) / 1000 / rounds);
  }
  console.log(JSON.stringify({ version: ort.env.versions.node, sum, times }));
}

main();

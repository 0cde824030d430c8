// A script on the owner thread waits for a run whose middleware is a function of that same script.
//
//   impasse run examples/seed.js --wait-on-owner detect

const gp = require("geppetto");

const shout = gp.middlewares.fromJS((turn, next) => {
  const answered = next(turn);
  const last = answered.blocks[answered.blocks.length - 1];
  last.payload.text = last.payload.text.toUpperCase();
  return answered;
}, "shout");

const session = gp.createSession({
  name: "inference",
  engine: gp.engines.echo({ reply: "hello from the engine" }),
  middlewares: [shout],
});

session.append(gp.turns.newTurn({ blocks: [gp.turns.newUserBlock("hello")] }));

try {
  const turn = session.run(); // the owner waits here
  const answer = turn.blocks[turn.blocks.length - 1].payload.text;
  assert(answer === "HELLO FROM THE ENGINE", answer);
  console.log("answer:", answer);
} catch (error) {
  console.log("run() threw:", error.message);
}
console.log("the script goes on");

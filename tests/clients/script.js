'use strict';
// What the scripts of both clients have in common: two halves with the server's restart between them. Each half's
// findings leave as a line of JSON; the second half begins when a line comes in.
const readline = require('node:readline');

exports.BYTES = Buffer.from([0, 255, 13, 10, 36, 128]);
exports.TEXT = 'grüße, 日本 🥫';

exports.run = async function run(before, after) {
    const input = readline.createInterface({ input: process.stdin });
    const restarted = new Promise(resolve => input.once('line', resolve));
    console.log(JSON.stringify(await before()));
    await restarted;
    console.log(JSON.stringify(await after()));
    input.close();
};

// What a promise fails with, as the user's code sees it.
exports.failure = async function failure(promise, ErrorClass) {
    try {
        return { value: await promise };
    } catch (error) {
        return { message: error.message, class: error instanceof ErrorClass };
    }
};

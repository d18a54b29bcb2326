// Parameters are stored in f32. Where a program computes in bf16 or f16, a second pool holds them
// rounded: programs read that, the update writes it in the sweep that writes the parameters, and
// the program "refresh" fills it after the host has written parameters. A reader would otherwise
// round every element again each time, and read twice the bytes.
#include "compiler/fuse/Program.h"
#include "dialects/r1/R1Build.h"

using namespace mlir;
namespace r1::fuse {

namespace {

/// The parameter that `v` is, also where it is passed whole into a loop over rows.
ir::ParamOp paramOf(Value v) {
  while (true) {
    if (auto param = v.getDefiningOp<ir::ParamOp>())
      return param;
    auto arg = dyn_cast<BlockArgument>(v);
    auto loop = arg ? dyn_cast<ir::RowLoopOp>(arg.getOwner()->getParentOp()) : ir::RowLoopOp();
    unsigned split = loop ? loop.getSplit().size() : 0;
    if (!loop || arg.getArgNumber() < split)
      return {};
    v = loop.getWhole()[arg.getArgNumber() - split];
  }
}

/// The 16-bit float that `map` rounds its only input to, element by element; else null.
Type roundsTo(ir::MapOp map) {
  if (map.getIns().size() != 1 || !map.getCaptures().empty() || !map.getMap(0).isIdentity() ||
      shapeOf(map.getIns()[0]) != shapeOf(map.getResult()))
    return {};
  Block *body = map.getBlock();
  auto trunc = dyn_cast<arith::TruncFOp>(body->front());
  if (!trunc || trunc.getIn() != body->getArgument(0) ||
      body->getTerminator()->getOperand(0) != trunc.getResult())
    return {};
  Type to = trunc.getType();
  return to.isBF16() || to.isF16() ? to : Type();
}

/// `update` yields the rounded pool, or parts of it, beside the new one.
void roundInUpdate(func::FuncOp update, Type elem) {
  Operation *ret = update.getBody().front().getTerminator();
  OpBuilder b(ret);
  for (unsigned i = 0, n = update.getNumResults(); i < n; ++i) {
    auto role = update.getResultAttrOfType<StringAttr>(i, "r1.role");
    if (!role || role.getValue().split('@').first != "param")
      continue;
    Value next = ret->getOperand(i);
    Value copy = ir::buildCast(b, next.getLoc(), next, elem);
    unsigned at = ret->getNumOperands();
    ret->insertOperands(at, copy);
    (void)update.insertResult(at, copy.getType(), b.getDictionaryAttr({}));
    StringRef part = role.getValue().drop_front(StringRef("param").size()); // "" or "@128"
    update.setResultAttr(at, "r1.role", b.getStringAttr(copyRole(elem, true) + part));
  }
}

/// @refresh: from the pools that the host writes to their copies.
void addRefresh(ModuleState &state, ArrayRef<Type> elems) {
  OpBuilder b = OpBuilder::atBlockEnd(state.module.getBody());
  Location loc = state.module.getLoc();
  SmallVector<Type> inputs, outputs;
  SmallVector<std::string> roles, resultRoles;
  SmallVector<std::pair<unsigned, Type>> results;
  for (auto [size, role] : {std::pair{state.layout.trainableSize, "param"},
                            std::pair{state.layout.frozenSize, "frozen"}}) {
    if (!size)
      continue;
    roles.push_back(role);
    inputs.push_back(RankedTensorType::get({size}, b.getF32Type()));
    for (Type elem : elems) {
      results.push_back({unsigned(inputs.size() - 1), elem});
      outputs.push_back(RankedTensorType::get({size}, elem));
      resultRoles.push_back(copyRole(elem, StringRef(role) == "param"));
    }
  }
  auto func = func::FuncOp::create(b, loc, "refresh", b.getFunctionType(inputs, outputs));
  Block *body = func.addEntryBlock();
  b.setInsertionPointToEnd(body);
  SmallVector<Value> values;
  for (auto [input, elem] : results)
    values.push_back(ir::buildCast(b, loc, body->getArgument(input), elem));
  func::ReturnOp::create(b, loc, values);
  for (auto [i, role] : llvm::enumerate(roles))
    func.setArgAttr(i, "r1.role", b.getStringAttr(role));
  for (auto [i, role] : llvm::enumerate(resultRoles))
    func.setResultAttr(i, "r1.role", b.getStringAttr(role));
}

} // namespace

std::string copyRole(Type elem, bool trainable) {
  return std::string(trainable ? "copy:" : "frozen copy:") + (elem.isBF16() ? "bf16" : "f16");
}

void introduceCopies(ModuleState &state) {
  SmallVector<ir::MapOp> casts;
  llvm::SetVector<Type> elems;
  state.module.walk([&](ir::MapOp map) {
    if (Type to = roundsTo(map); to && paramOf(map.getIns()[0])) {
      casts.push_back(map);
      elems.insert(to);
    }
  });
  for (ir::MapOp map : casts) {
    OpBuilder b(map);
    ir::ParamOp param = paramOf(map.getIns()[0]);
    Value copy = ir::ParamOp::create(b, map.getLoc(), map.getResult().getType(), param.getPath());
    map.getResult().replaceAllUsesWith(copy);
    map.erase();
  }
  if (elems.empty())
    return;
  if (auto update = state.module.lookupSymbol<func::FuncOp>("update"))
    for (Type elem : elems)
      roundInUpdate(update, elem);
  addRefresh(state, elems.getArrayRef());
  for (Type elem : elems)
    for (bool trainable : {true, false}) {
      int64_t size = trainable ? state.layout.trainableSize : state.layout.frozenSize;
      if (!size)
        continue;
      std::string role = copyRole(elem, trainable);
      state.copyBuffers[role] =
          state.buffer(role, RankedTensorType::get({size}, elem), "copy", state.module.getLoc())
              .getSymName();
    }
}

std::string ModuleState::leafBuffer(ir::ParamOp param) {
  Type elem = elemOf(param.getResult());
  auto known = leafBuffers.find(param.getPath());
  if (known == leafBuffers.end() || elem.isF32())
    return known == leafBuffers.end() ? "" : known->second;
  std::string key = (param.getPath() + copyRole(elem, true)).str();
  std::string &view = leafBuffers[key];
  if (view.empty()) {
    const ir::LeafSlot &slot = *layout.find(param.getPath());
    ir::LeafOp leaf = slot.op;
    kern::BufferOp made = buffer(("c_" + param.getPath()).str(), tensorOf(param.getResult()),
                                 "copy", leaf.getLoc());
    made.setInside(copyBuffers[copyRole(elem, leaf.getTrainable())]);
    made.setAt(slot.offset);
    view = made.getSymName().str();
  }
  return view;
}

} // namespace r1::fuse
